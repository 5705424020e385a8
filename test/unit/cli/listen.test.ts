import { expect, test } from 'vitest';
import { checkExposure } from '../../../src/cli/listen.ts';

test.each(['127.0.0.1', '127.8.9.10', 'localhost', '::1'])('%s needs no key', (host) => {
  expect(() => checkExposure({ host, apiKey: [] })).not.toThrow();
});

test.each(['0.0.0.0', '::', '192.168.1.4', 'example.org', '127.0.0.1.example.org', '1270.0.0.1', '::ffff:127.0.0.1'])(
  '%s needs one',
  (host) => {
    expect(() => checkExposure({ host, apiKey: [] })).toThrow(
      `--host ${host} lets other machines in, so an API key is needed: add --api-key KEY`,
    );
    expect(() => checkExposure({ host, apiKey: ['k'] })).not.toThrow();
  },
);
