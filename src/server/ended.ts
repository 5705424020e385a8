// When a request is over, whatever ended it.
import { setMaxListeners } from 'node:events';
import { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';

/**
 * Calls the listener once: when the response has gone out, or its connection has. A response that waits behind another one of a
 * pipelining client has no connection of its own, and would never close with it.
 */
export function onceEnded({ raw: { socket } }: FastifyRequest, { raw: response }: FastifyReply, listener: () => void): void {
  let over = false;
  const ended = () => {
    // A socket that closes tells its response in the midst of telling us.
    if (over) return;
    over = true;
    response.off('close', ended);
    socket.off('close', ended);
    listener();
  };
  // As many as a client pipelines.
  setMaxListeners(0, socket);
  response.once('close', ended);
  socket.once('close', ended);
}

/** Cuts a client that takes nothing of a finished response for so long. Once it has gone out Node's own timeouts hold again. */
export function limitUnread({ raw: { socket } }: FastifyRequest, { raw: response }: FastifyReply, seconds: number): void {
  if (!(socket instanceof Socket)) return;
  response.once('prefinish', () => socket.setTimeout(seconds * 1000));
  response.prependOnceListener('finish', () => socket.setTimeout(0));
}
