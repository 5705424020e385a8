// Server-sent events on a hijacked response: one write per turn of the event loop, bounded memory, pings.
import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';

export class SseStream {
  readonly #response: ServerResponse;
  readonly #limit: number;
  readonly #pinger: Pinger;
  #pending = '';
  #quiet = true;
  #open = true;

  /** `limit`: bytes that may wait for the client. The headers go out at once. */
  constructor(response: ServerResponse, headers: NodeJS.Dict<number | string | string[]>, limit: number, pinger: Pinger) {
    this.#response = response;
    this.#limit = limit;
    this.#pinger = pinger;
    response.once('close', this.#forget);
    // A write that meets a closed socket; 'close' follows.
    response.on('error', this.#forget);
    response.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
    });
    response.flushHeaders();
    pinger.add(this);
  }

  /** Events of the same turn leave together: a request with n choices costs one write. */
  write(events: string): void {
    if (this.#pending === '') process.nextTick(this.#flush);
    this.#pending += events;
  }

  end(events: string): void {
    if (!this.#open) return;
    this.#response.end(this.#pending + events);
    this.#pending = '';
    this.#forget();
  }

  /** A comment, if nothing was sent since the last call. */
  pingIfQuiet(): void {
    if (this.#quiet) this.#send(': ping\n\n');
    this.#quiet = true;
  }

  readonly #flush = (): void => {
    const events = this.#pending;
    if (events === '') return;
    this.#pending = '';
    this.#send(events);
  };

  #send(text: string): void {
    if (!this.#open) return;
    this.#quiet = false;
    if (!writeChunk(this.#response, text) && this.#response.writableLength > this.#limit) this.#response.destroy();
  }

  readonly #forget = (): void => {
    this.#open = false;
    this.#pending = '';
    this.#pinger.delete(this);
  };
}

/**
 * response.write() puts a chunk's length, data and line ends on the socket as four writes, which costs a stream a third of
 * its time. One string does it in one, once nothing of the response waits in front of it.
 */
function writeChunk(response: ServerResponse, text: string): boolean {
  const { socket } = response;
  const direct = response.chunkedEncoding && socket instanceof Socket && socket.writableLength === response.writableLength;
  if (!direct) return response.write(text);
  const bytes = Buffer.byteLength(text);
  return socket.write(`${bytes.toString(16)}\r\n${text}\r\n`, bytes === text.length ? 'latin1' : 'utf8');
}

/** One timer for all streams. Sweeping twice in a period bounds a silence by one period. */
export class Pinger {
  readonly #streams = new Set<SseStream>();
  readonly #timer: NodeJS.Timeout;

  constructor(seconds: number) {
    this.#timer = setInterval(() => this.#sweep(), (seconds * 1000) / 2).unref();
  }

  add(stream: SseStream): void {
    this.#streams.add(stream);
  }

  delete(stream: SseStream): void {
    this.#streams.delete(stream);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #sweep(): void {
    for (const stream of this.#streams) stream.pingIfQuiet();
  }
}
