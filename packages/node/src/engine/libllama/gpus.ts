import type { GpuDevice } from '../../hardware/devices.ts';
import { deviceTypes, type DevicePointer, type Libllama } from './libllama.ts';

/** A GPU that a stage can be placed on. */
export interface EngineGpu extends GpuDevice {
  readonly device: DevicePointer;
}

/**
 * Lists the GPUs of the loaded backends, in llama.cpp's order, with their memory as it is now.
 *
 * @param backend `metal`'s GPUs share main memory, though llama.cpp does not call them integrated
 */
export function listGpus(
  library: Pick<Libllama, 'deviceCount' | 'device' | 'deviceType' | 'deviceDescription' | 'deviceMemory'>,
  backend: string,
): readonly EngineGpu[] {
  const devices = Array.from({ length: library.deviceCount() }, (_, index) => library.device(index));
  return devices.flatMap((device) => {
    const type = library.deviceType(device);
    if (type !== deviceTypes.gpu && type !== deviceTypes.integratedGpu) return [];
    const [free, total]: [[number], [number]] = [[0], [0]];
    library.deviceMemory(device, free, total);
    return {
      device,
      name: library.deviceDescription(device),
      sharesMainMemory: type === deviceTypes.integratedGpu || backend === 'metal',
      memoryBytes: total[0],
      freeMemoryBytes: free[0],
    };
  });
}
