// The floor of bench/http.ts: node:http writing the same chunks at the same pace, with nothing behind it.
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const [stepMicroseconds = '0', tokens = '0'] = process.argv.slice(2);
const live = new Map<ServerResponse, number>();

const envelope = '"object":"text_completion","created":0,"model":"fake","system_fingerprint":"fp_000000000000"';
const chunk = (text: string) =>
  `data: {"id":"cmpl-00000000000000000000000000000000",${envelope},"choices":[{"index":0,"text":${JSON.stringify(text)},"logprobs":null,"finish_reason":null}]}\n\n`;

const server = createServer((request, response) => {
  request.resume();
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.flushHeaders();
  live.set(response, 0);
});
const timer = setInterval(() => {
  for (const [response, count] of live) {
    if (count < Number(tokens)) {
      response.write(chunk(` w${count}`));
      live.set(response, count + 1);
    } else {
      response.end('data: [DONE]\n\n');
      live.delete(response);
    }
  }
}, Number(stepMicroseconds) / 1000);

process.on('message', (message) => {
  if (message === 'cpu') {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  } else {
    clearInterval(timer);
    server.close();
    server.closeAllConnections();
    process.disconnect();
  }
});
server.listen(0, '127.0.0.1', () => process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
