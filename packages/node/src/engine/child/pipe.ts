import { Socket } from 'node:net';

import { encodeFrame, FrameParser, type Frame } from '@skein/protocol';

/** One of the pipes that the parent process has opened for us, carrying frames both ways. */
export class FramePipe {
  readonly #socket: Socket;

  /**
   * @param options.onFrame called for each frame, in order
   * @param options.onClose called once when the other end has gone or has sent bytes that are no frames
   */
  constructor(descriptor: number, options: { onFrame: (frame: Frame) => void; onClose: (error?: unknown) => void }) {
    this.#socket = new Socket({ fd: descriptor, readable: true, writable: true });
    const parser = new FrameParser();
    this.#socket.on('data', (chunk) => {
      try {
        for (const frame of parser.push(chunk)) options.onFrame(frame);
      } catch (error) {
        options.onClose(error);
      }
    });
    this.#socket.on('error', (error) => options.onClose(error));
    this.#socket.on('close', () => options.onClose());
  }

  /** Frames that are sent in one turn leave in one write: each wakes the other end. */
  send(header: object, payload?: Uint8Array): void {
    if (this.#socket.writableCorked === 0) {
      this.#socket.cork();
      process.nextTick(() => this.#socket.uncork());
    }
    this.#socket.write(encodeFrame(header, payload));
  }

  /** Waits until all that was sent has left this process. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.write(new Uint8Array(0), () => resolve());
    });
  }
}
