import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { createLogger } from '../../../src/cli/log.ts';

function written(terminal: boolean, log: (logger: ReturnType<typeof createLogger>) => void): string {
  const stdout: PassThrough & { isTTY?: boolean } = new PassThrough();
  stdout.isTTY = terminal;
  log(createLogger('info', stdout));
  return String(stdout.read() ?? '');
}

test('a terminal gets sentences', () => {
  expect(written(true, (logger) => logger.info({ status: 200, path: '/v1', nested: { a: 1 } }, 'request'))).toMatch(
    /^\d\d:\d\d:\d\d request status=200 path=\/v1 nested=\{"a":1\}\n$/,
  );
  expect(written(true, (logger) => logger.warn('careful'))).toMatch(/^\S+ warning: careful\n$/);
  expect(written(true, (logger) => logger.error(new Error('broken')))).toMatch(/^\S+ error: broken\nError: broken\n {4}at /);
});

test('elsewhere JSON lines', () => {
  expect(JSON.parse(written(false, (logger) => logger.info({ status: 200 }, 'request')))).toMatchObject({
    status: 200,
    msg: 'request',
  });
});

test('what is below the level is not written, and no key ever', () => {
  expect(written(false, (logger) => logger.debug('hidden'))).toBe('');
  for (const terminal of [true, false]) {
    const text = written(terminal, (logger) => logger.info({ headers: { authorization: 'Bearer secret' } }, 'request'));
    expect(text).toContain('request');
    expect(text).not.toContain('secret');
  }
});
