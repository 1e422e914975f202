import { Socket } from 'node:net';

import { encodeFrame, FrameParser, type Frame } from '@skein/protocol';

const noBytes = new Uint8Array(0);

export interface FramePipeOptions {
  /** Handles each frame, in order. */
  readonly onFrame: (frame: Frame) => void;
  /**
   * Time for handling frames in one turn, in milliseconds. The others follow once the effects of the first have left
   * this process. 0 handles one frame a turn, for a pipe on which each may mean to compute, which holds up this thread.
   */
  readonly turnMs: number;
  /** Called when the other end has gone or has sent bytes that are no frames. */
  readonly onClose: (error?: unknown) => void;
}

/** A pipe that the parent process has opened for us, carrying frames both ways. */
export class FramePipe {
  readonly #socket: Socket;
  readonly #parser = new FrameParser();
  readonly #options: FramePipeOptions;
  #isBusy = false;

  constructor(descriptor: number, options: FramePipeOptions) {
    this.#options = options;
    this.#socket = new Socket({ fd: descriptor, readable: true, writable: true });
    this.#socket.on('data', (chunk) => {
      this.#parser.feed(chunk);
      this.#next();
    });
    this.#socket.on('error', (error) => options.onClose(error));
    this.#socket.on('close', () => options.onClose());
  }

  /** Calls back in a later turn, once everything that was sent has left this process. */
  whenFlushed(callback: () => void): void {
    setImmediate(() => {
      if (this.#socket.writableLength === 0) callback();
      else this.#socket.write(noBytes, () => callback());
    });
  }

  #next(): void {
    if (this.#isBusy) return;
    try {
      const endMs = performance.now() + this.#options.turnMs;
      for (let frame = this.#parser.next(); frame !== undefined; frame = this.#parser.next()) {
        this.#options.onFrame(frame);
        if (performance.now() >= endMs) return this.#rest();
      }
    } catch (error) {
      this.#options.onClose(error);
    }
  }

  #rest(): void {
    this.#isBusy = true;
    this.whenFlushed(() => {
      this.#isBusy = false;
      this.#next();
    });
  }

  /** Sends a frame. Frames of one turn leave in one write, since each write wakes the other end. */
  send(header: object, payload?: Uint8Array): void {
    if (this.#socket.writableCorked === 0) {
      this.#socket.cork();
      process.nextTick(() => this.#socket.uncork());
    }
    this.#socket.write(encodeFrame(header, payload));
  }

  /** Waits until everything that was sent has left this process. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      this.whenFlushed(resolve);
    });
  }
}
