import type { Hardware, MeasuredSpeed, Weights } from '@skein/protocol';

import { cpuClass, gpuClass, type DeviceClass } from './device-classes.ts';

/** The speed of a device with the weights of one model. */
export interface DeviceSpeed {
  /** Returns the nanoseconds that one row takes through weights. */
  readonly rowNs: (weights: Weights) => number;
  /** Returns the nanoseconds that each further row of the same micro-batch adds. */
  readonly furtherRowNs: (weights: Weights) => number;
  /**
   * Returns the nanoseconds that one row takes through an output matrix and until a token is drawn: as the machine has
   * measured it as a tail, else as long as so many weights of layers.
   */
  readonly headNs: (weights: Weights) => number;
  /** Returns the nanoseconds that the attention of one row to one token before it takes in a layer of this hidden size. */
  readonly attentionNs: (hiddenSize: number) => number;
  /** Whether it was measured on that machine, rather than told by the device's name. */
  readonly isMeasured: boolean;
}

/**
 * Speed of attention as a share of the speed of prefill, both in operations a second. SmolLM2-135M in Q8_0 on one core read
 * tokens 256 to 512 of a prompt at 0.73 and 0.70 of the speed of its first sixteen; keys and values are in f16, which
 * llama.cpp multiplies more slowly on processors.
 */
const attentionShare = 0.3;

/**
 * Returns the speed of a machine's processor, or of its GPUs: as its stages have measured it with the layers most like
 * these, else as its class has it.
 *
 * From layers of one kind to those of another, a GPU's time grows with bytes, a processor's with weights: on the CPUs
 * measured a weight of 8 bits takes no longer than one of 4 (SmolLM2's output matrix in Q8_0 takes as long as 7.4 of its
 * layers in Q4_1, has as many weights as 8 of them, and as many bytes as 13.6).
 *
 * @param layer the weights of one of the model's layers
 */
export function deviceSpeed(hardware: Hardware, device: 'cpu' | 'gpu', layer: Weights): DeviceSpeed {
  const isCpu = device === 'cpu';
  const backend = isCpu ? 'cpu' : hardware.backend;
  const known = isCpu ? cpuClass(hardware) : gpuClass(hardware);
  const measured = mostAlike(
    (hardware.speeds ?? []).filter((one) => one.backend === backend),
    layer,
  );
  return measured === undefined ? speedOfClass(known) : speedAsMeasured(measured, { isCpu, known });
}

function speedOfClass({ bytesPerSecond, flops }: DeviceClass): DeviceSpeed {
  const rowNs = ({ bytes }: Weights) => (bytes / bytesPerSecond) * 1e9;
  return {
    rowNs,
    headNs: rowNs,
    furtherRowNs: ({ count }) => ((2 * count) / flops) * 1e9,
    attentionNs: attentionAt(flops),
    isMeasured: false,
  };
}

/**
 * A micro-batch of R rows was measured to take R / prefill speed, one row 1 / decode speed; a further row takes what
 * lies between the two, divided by R - 1. Where sixteen rows take no longer than one, as on GPUs, the class tells.
 */
function speedAsMeasured(
  measured: MeasuredSpeed,
  { isCpu, known }: { readonly isCpu: boolean; readonly known: DeviceClass },
): DeviceSpeed {
  const { layerBytes, layerWeights, decodeBytesPerSecond, prefillFlops, prefillRows, head } = measured;
  const rowNs = (layerBytes / decodeBytesPerSecond) * 1e9;
  const prefillRowNs = ((2 * layerWeights) / prefillFlops) * 1e9;
  const leastNs = ((2 * layerWeights) / known.flops) * 1e9;
  const betweenNs = prefillRows > 1 ? (prefillRows * prefillRowNs - rowNs) / (prefillRows - 1) : prefillRowNs;
  const furtherNs = Math.max(isCpu ? 0 : leastNs, Math.min(betweenNs, rowNs));
  const share = ({ bytes, count }: Weights) => (isCpu ? count / layerWeights : bytes / layerBytes);
  const scaled = (weights: Weights) => rowNs * share(weights);
  return {
    rowNs: scaled,
    headNs: (weights) => (head === undefined ? scaled(weights) : head.ms * 1e6 * (weights.count / head.weights)),
    furtherRowNs: ({ count }) => furtherNs * (count / layerWeights),
    attentionNs: attentionAt(isCpu ? prefillFlops : known.flops),
    isMeasured: true,
  };
}

/** A row multiplies its query with a key, and a weight with a value: four operations for each of their numbers. */
function attentionAt(prefillFlops: number): DeviceSpeed['attentionNs'] {
  return (hiddenSize) => ((4 * hiddenSize) / (attentionShare * prefillFlops)) * 1e9;
}

/** Returns the measurement with layers most like one, by ratio of bytes and of weights. */
function mostAlike(speeds: readonly MeasuredSpeed[], { bytes, count }: Weights): MeasuredSpeed | undefined {
  const distance = ({ layerBytes, layerWeights }: MeasuredSpeed) =>
    Math.abs(Math.log(layerBytes / Math.max(1, bytes))) + Math.abs(Math.log(layerWeights / Math.max(1, count)));
  return speeds.toSorted((one, other) => distance(one) - distance(other))[0];
}
