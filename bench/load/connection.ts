import { connect, type Socket } from 'node:net';

export interface Answer {
  status: number;
  /** Everything before the body. */
  head: string;
  /** Length of the body that was read and thrown away, in bytes. */
  size: number;
}

/** A connection on which nothing moves for so long is broken, in milliseconds. */
const idleLimit = 60_000;

/** How much is read from the socket at once, in bytes. */
const readSize = 256 << 10;

/**
 * One HTTP/1.1 connection that costs as little as Node allows: no header objects, and bodies of answers are counted and
 * thrown away. It takes one request at a time and expects every body with a `Content-Length`, as registries send it
 * where this is used.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #received: (bytes: number) => void;
  #waiting: { resolve(answer: Answer): void; reject(error: Error): void; bodyless: boolean } | undefined;
  #text = '';
  /** The answer whose body is being read, and how much of it is to come. */
  #answer: Answer | undefined;
  #missing = 0;
  #broken: Error | undefined;

  /** @param received is told about every piece of a body, with its length in bytes */
  constructor(port: number, received: (bytes: number) => void = () => {}) {
    this.#received = received;
    this.#socket = connect({
      host: '127.0.0.1',
      port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(readSize),
        callback: (length, buffer) => {
          this.#read(Buffer.from(buffer.buffer, buffer.byteOffset, length));
          return true;
        },
      },
    });
    this.#socket.setTimeout(idleLimit, () => this.#fail(new Error(`nothing moved for ${idleLimit / 1000} s`)));
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => this.#fail(new Error('the registry closed the connection')));
  }

  /**
   * Sends a request and reads its whole answer.
   *
   * @param head request line and headers, each with its line end, without the empty line
   * @throws Error when the connection breaks
   */
  async request(head: string, body: Iterable<Uint8Array> = []): Promise<Answer> {
    if (this.#broken) throw this.#broken;
    if (this.#waiting) throw new TypeError('one request at a time');
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#waiting = { resolve, reject, bodyless: head.startsWith('HEAD ') };
    });
    this.#socket.write(`${head}Host: 127.0.0.1\r\n\r\n`, 'latin1');
    for (const slice of body) {
      await new Promise<void>((resolve) => this.#socket.write(slice, () => resolve()));
      // Answered before the end, as a refusal is, or broken: the rest is of no use.
      if (this.#waiting === undefined) break;
    }
    return answer;
  }

  close(): void {
    this.#socket.destroy();
  }

  #fail(error: Error): void {
    this.#broken ??= error;
    this.#socket.destroy();
    this.#waiting?.reject(this.#broken);
    this.#waiting = undefined;
  }

  #read(bytes: Buffer): void {
    const fault = this.#take(bytes);
    if (fault) this.#fail(fault);
  }

  /** Takes what the socket gave. @returns what is wrong with it */
  #take(bytes: Buffer): Error | undefined {
    let rest = bytes;
    if (this.#answer === undefined) {
      this.#text += bytes.toString('latin1');
      const end = this.#text.indexOf('\r\n\r\n');
      if (end < 0) return undefined;
      const head = this.#text.slice(0, end);
      rest = bytes.subarray(bytes.length - (this.#text.length - end - 4));
      this.#text = '';
      const fault = this.#begin(head);
      if (fault) return fault;
    }
    if (rest.length > this.#missing) return new Error('the answer is longer than it says');
    if (rest.length > 0) this.#received(rest.length);
    this.#missing -= rest.length;
    if (this.#missing > 0 || this.#answer === undefined) return undefined;
    const [waiting, answer] = [this.#waiting, this.#answer];
    this.#waiting = undefined;
    this.#answer = undefined;
    waiting?.resolve(answer);
    return undefined;
  }

  /** Starts an answer, or says what is wrong with it. */
  #begin(head: string): Error | undefined {
    if (this.#waiting === undefined) return new Error('an answer without a request');
    const bodyless = this.#waiting.bodyless || head.startsWith('HTTP/1.1 204');
    const length = headerOf(head, 'content-length');
    if (!bodyless && length === undefined) return new Error(`no Content-Length in the answer: ${head}`);
    this.#missing = bodyless ? 0 : Number(length);
    this.#answer = { status: Number(head.slice(9, 12)), head, size: this.#missing };
    return undefined;
  }
}

/** The value of a header in the head of a message. */
export function headerOf(head: string, name: string): string | undefined {
  return new RegExp(`\\r\\n${name}: *([^\\r]*)`, 'i').exec(head)?.[1];
}
