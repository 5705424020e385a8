// Requests that run, so that a disconnect cancels one and closing waits for all.

import { setMaxListeners } from 'node:events';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { onceEnded } from './ended.ts';
import { ClientGone, closing } from './errors.ts';

/** After the deadline, what responses need to say that they were cut. */
const goodbyeMilliseconds = 1000;

export class Work {
  readonly #running = new Set<AbortController>();
  #draining = false;
  #idle: (() => void) | null = null;

  get draining(): boolean {
    return this.#draining;
  }

  /** Aborted when the client goes before its response has ended. Throws when the server is closing. */
  enter(request: FastifyRequest, reply: FastifyReply): AbortController {
    if (this.#draining) throw closing();
    const controller = new AbortController();
    // Each of up to 2048 choices listens.
    setMaxListeners(0, controller.signal);
    this.#running.add(controller);
    onceEnded(request, reply, () => {
      if (!reply.raw.writableEnded) controller.abort(new ClientGone('The client closed the connection.'));
      this.#running.delete(controller);
      if (this.#running.size === 0) this.#idle?.();
    });
    return controller;
  }

  /** Takes no new work, waits for the old, and cuts what has not ended by the deadline. */
  async drain(milliseconds: number): Promise<void> {
    this.#draining = true;
    if (await this.#ended(milliseconds)) return;
    for (const controller of this.#running) controller.abort(closing());
    await this.#ended(goodbyeMilliseconds);
  }

  async #ended(milliseconds: number): Promise<boolean> {
    if (this.#running.size === 0) return true;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), milliseconds);
      this.#idle = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }
}
