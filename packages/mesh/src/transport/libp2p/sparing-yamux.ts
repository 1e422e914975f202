import { yamux } from '@chainsafe/libp2p-yamux';
import type { StreamMuxerFactory } from '@libp2p/interface';

/** Share of the window that is left to the remote without an update. A larger one would slow down long links. */
const quietShare = 0.75;

/** The insides of the pinned version of Yamux. */
interface MuxerInside {
  _newStream(...stream: readonly unknown[]): StreamInside;
}

interface StreamInside {
  readonly state: number;
  /** Bytes that the remote may still send, and may send after an update. */
  readonly recvWindowCapacity: number;
  readonly recvWindow: number;
  sendWindowUpdate(): void;
}

/** Value of `StreamState.Established`: before that state updates open the stream, after it they end it. */
const established = 3;

/**
 * Makes a Yamux that tells the remote of read bytes when a quarter of the window is used up, and not after each frame:
 * one micro-batch would cost four wake-ups and two encryptions instead of two and one.
 */
export function sparingYamux(...options: Parameters<typeof yamux>): () => StreamMuxerFactory {
  const create = yamux(...options);
  return () => {
    const factory = create();
    const createStreamMuxer = factory.createStreamMuxer.bind(factory);
    factory.createStreamMuxer = (connection) => {
      const muxer = createStreamMuxer(connection);
      const inside = muxer as unknown as MuxerInside;
      const newStream = inside._newStream.bind(muxer);
      inside._newStream = (...stream) => withFewerUpdates(newStream(...stream));
      return muxer;
    };
    return factory;
  };
}

function withFewerUpdates(stream: StreamInside): StreamInside {
  const sendWindowUpdate = stream.sendWindowUpdate.bind(stream);
  stream.sendWindowUpdate = () => {
    const isOpen = stream.state === established;
    if (isOpen && stream.recvWindowCapacity > stream.recvWindow * quietShare) return;
    sendWindowUpdate();
  };
  return stream;
}
