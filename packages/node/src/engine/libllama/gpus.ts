import type { GpuDevice } from '../../hardware/devices.ts';
import { enumerators } from './c-headers.ts';
import type { DevicePointer, Libllama } from './libllama.ts';

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
    const isIntegrated = type === enumerators.GGML_BACKEND_DEVICE_TYPE_IGPU;
    if (type !== enumerators.GGML_BACKEND_DEVICE_TYPE_GPU && !isIntegrated) return [];
    const [free, total]: [[number], [number]] = [[0], [0]];
    library.deviceMemory(device, free, total);
    return {
      device,
      name: library.deviceDescription(device),
      sharesMainMemory: isIntegrated || backend === 'metal',
      memoryBytes: total[0],
      freeMemoryBytes: free[0],
    };
  });
}
