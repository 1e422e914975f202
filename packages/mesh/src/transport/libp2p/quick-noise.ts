import { noise } from '@chainsafe/libp2p-noise';

/** The insides of the pinned version of Noise. */
interface SecuredInside {
  readonly decoder: { lengthDecoder: (bytes: Readable) => number };
}

interface Readable {
  readonly byteLength: number;
  get(index: number): number;
}

/**
 * Error that Noise's decoder catches wherever bytes end, which is after each message: made once, it does not cost a
 * stack trace each.
 */
const incomplete = new RangeError('the length is not complete');

/** Makes a Noise whose decoder of lengths does not make an error, with its stack trace, for each message. */
export function quickNoise(...options: Parameters<typeof noise>): ReturnType<typeof noise> {
  const create = noise(...options);
  return (components) => {
    const encrypter = create(components);
    const secureInbound = encrypter.secureInbound.bind(encrypter);
    const secureOutbound = encrypter.secureOutbound.bind(encrypter);
    encrypter.secureInbound = async (...given) => quick(await secureInbound(...given));
    encrypter.secureOutbound = async (...given) => quick(await secureOutbound(...given));
    return encrypter;
  };
}

function quick<Secured extends { readonly connection: unknown }>(secured: Secured): Secured {
  (secured.connection as SecuredInside).decoder.lengthDecoder = readLength;
  return secured;
}

/** Reads a length of two bytes, big-endian. Throws one and the same RangeError when they have not come. */
export function readLength(bytes: Readable): number {
  if (bytes.byteLength < 2) throw incomplete;
  return bytes.get(0) * 256 + bytes.get(1);
}
