import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSettings, strayVariables } from '../../../src/cli/settings.ts';
import { ChatConfig, ConfigError, ServeConfig, SynthConfig } from '../../../src/config.ts';
import { temporary } from '../../temporary.ts';

const read = (line: string, env: Record<string, string> = {}) =>
  readSettings(ServeConfig, line.split(' ').filter(Boolean), env);

function settingsFile(content: unknown): string {
  const path = join(temporary(), 'settings.json');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

test('defaults', () => {
  expect(read('folder')).toEqual({
    model: 'folder',
    host: '127.0.0.1',
    port: 8000,
    servedModelName: [],
    device: 'auto',
    dtype: 'auto',
    kvCacheDtype: 'auto',
    quantization: 'none',
    maxModelLen: 0,
    maxNumSeqs: 256,
    maxNumBatchedTokens: 256,
    blockSize: 16,
    kvCacheMemory: 0,
    threads: 0,
    gpuMemoryUtilization: 0.9,
    deterministic: false,
    enablePrefixCaching: true,
    systemMode: 'first',
    strictMessages: false,
    templateTags: 'refuse',
    apiKey: [],
    rateLimit: 0,
    logLevel: 'info',
  });
  expect(Object.isFrozen(read('folder'))).toBe(true);
});

test('every flag of serve', () => {
  const flags =
    'M --host ::1 --port 0 --device cpu --dtype float32 --kv-cache-dtype bfloat16 --quantization int4-g128 --served-model-name a --served-model-name=b ' +
    '--max-model-len 100 --max-num-seqs 4 --max-num-batched-tokens 64 --block-size 32 --kv-cache-memory 2GiB --threads 2 --gpu-memory-utilization 0.5 --deterministic ' +
    '--chat-template llama-2 --no-enable-prefix-caching --api-key k1 --api-key k2 --system-mode every_turn --strict-messages --template-tags allow --rate-limit 60 --seed 7 --log-level silent';
  expect(read(flags)).toEqual({
    model: 'M',
    host: '::1',
    port: 0,
    device: 'cpu',
    dtype: 'float32',
    kvCacheDtype: 'bfloat16',
    quantization: 'int4-g128',
    servedModelName: ['a', 'b'],
    maxModelLen: 100,
    maxNumSeqs: 4,
    maxNumBatchedTokens: 64,
    blockSize: 32,
    kvCacheMemory: 2 ** 31,
    threads: 2,
    gpuMemoryUtilization: 0.5,
    deterministic: true,
    chatTemplate: 'llama-2',
    enablePrefixCaching: false,
    systemMode: 'every_turn',
    strictMessages: true,
    templateTags: 'allow',
    apiKey: ['k1', 'k2'],
    rateLimit: 60,
    seed: 7,
    logLevel: 'silent',
  });
});

describe('precedence', () => {
  const file = settingsFile({
    port: 1,
    'max-num-seqs': 1,
    max_model_len: 1,
    'served-model-name': ['f'],
    'kv-cache-memory': '1KiB',
    threads: 3,
  });
  const env = {
    GATTLING_PORT: '2',
    GATTLING_MAX_NUM_SEQS: '2',
    GATTLING_CONFIG: file,
    GATTLING_API_KEY: 'x, y',
    GATTLING_MODEL: 'E',
  };

  test('flag over environment over file over default', () => {
    const config = read('--port 3', env);
    expect(config).toMatchObject({
      model: 'E',
      port: 3,
      maxNumSeqs: 2,
      maxModelLen: 1,
      blockSize: 16,
      kvCacheMemory: 1024,
      threads: 3,
    });
    expect(config).toMatchObject({ servedModelName: ['f'], apiKey: ['x', 'y'] });
  });

  test('a list of a stronger source replaces the weaker list', () => {
    expect(read('M --api-key z --served-model-name s', env)).toMatchObject({ apiKey: ['z'], servedModelName: ['s'] });
  });

  test('switches', () => {
    expect(read('M', { GATTLING_ENABLE_PREFIX_CACHING: 'false' }).enablePrefixCaching).toBe(false);
    expect(read('M --enable-prefix-caching', { GATTLING_ENABLE_PREFIX_CACHING: '0' }).enablePrefixCaching).toBe(true);
    expect(read(`M --config ${settingsFile({ enable_prefix_caching: false })}`).enablePrefixCaching).toBe(false);
  });

  test('an empty variable counts as absent', () => {
    expect(read('M', { GATTLING_PORT: '' }).port).toBe(8000);
  });
});

describe('sizes', () => {
  test.each([
    ['1500', 1500],
    ['2GiB', 2 * 2 ** 30],
    ['1.5MiB', 1.5 * 2 ** 20],
    ['3KB', 3000],
    ['4gb', 4e9],
    ['10MB', 1e7],
    ['7KiB', 7168],
  ])('%s', (text, bytes) => expect(read(`M --kv-cache-memory ${text}`).kvCacheMemory).toBe(bytes));

  test.each(['2GB2', 'much', '1XB', '-1'])('%s is refused', (text) => {
    expect(() => read(`M --kv-cache-memory=${text}`)).toThrow(/^--kv-cache-memory must be a size such as 2GiB/);
  });
});

describe('mistakes name the right form', () => {
  test.each([
    ['M --max-seqs 4', 'Unknown flag --max-seqs; did you mean --max-num-seqs?'],
    ['M --prot 4', 'Unknown flag --prot; did you mean --port?'],
    ['M --no-prefix-caching', 'Unknown flag --no-prefix-caching; did you mean --no-enable-prefix-caching?'],
    ['M -p 4', 'Unknown flag -p; did you mean --port?'],
    ['M --port', '--port needs a value: --port N.'],
    ['M --port --host x', '--port needs a value: --port N.'],
    ['M --device', '--device needs a value: --device auto|cpu|cuda.'],
    ['M --port 65536', '--port must be a whole number from 0 to 65535, not "65536".'],
    ['M --port 80.5', '--port must be a whole number from 0 to 65535, not "80.5".'],
    ['M --port 1e3', '--port must be a whole number from 0 to 65535, not "1e3".'],
    ['M --max-model-len -5', '--max-model-len must be a whole number of at least 0, not "-5".'],
    ['M --block-size 24', '--block-size must be a whole number from 16 to 256, a multiple of 16, not "24".'],
    ['M --dtype fp16', '--dtype must be one of auto, float32, bfloat16, float16, not "fp16".'],
    ['M --host=', '--host must be a text that is not empty, not "".'],
    ['M N', '"N" is one argument too many: one MODEL is enough.'],
  ])('%s', (line, message) => expect(() => read(line)).toThrow(new ConfigError(message)));

  test('environment', () => {
    expect(() => read('M', { GATTLING_PORT: 'x' })).toThrow('GATTLING_PORT must be a whole number from 0 to 65535, not "x".');
    expect(() => read('M', { GATTLING_API_KEY: 'a,,b' })).toThrow(
      'Each item of GATTLING_API_KEY must be a text that is not empty',
    );
    expect(() => read('M', { GATTLING_ENABLE_PREFIX_CACHING: 'yes' })).toThrow(
      'GATTLING_ENABLE_PREFIX_CACHING must be true or false',
    );
  });

  test('file', () => {
    const withFile = (content: unknown) => () => read(`M --config ${settingsFile(content)}`);
    expect(withFile({ 'max-seqs': 1 })).toThrow(
      /^Unknown setting "max-seqs" in .*settings.json; did you mean "max-num-seqs"\?$/,
    );
    expect(withFile({ port: [1] })).toThrow(/"port" in .* must be a whole number from 0 to 65535, not \[1\]\.$/);
    expect(withFile({ port: true })).toThrow('not true.');
    expect(withFile({ 'api-key': [1] })).toThrow('must be a list of texts, not [1].');
    expect(withFile({ config: 'other' })).toThrow('Unknown setting "config"');
    expect(withFile([])).toThrow('must hold one JSON object');
    expect(withFile('{')).toThrow('must be a JSON file that can be read');
    expect(() => read('M --config /nowhere.json')).toThrow('--config /nowhere.json must be a JSON file that can be read');
  });
});

test('a value that begins with a dash is given after "="', () => {
  expect(read('M --api-key=-secret').apiKey).toEqual(['-secret']);
});

test('the last of a flag that is given twice wins', () => {
  expect(read('M --port 1 --port 2').port).toBe(2);
});

test('settings of the other commands', () => {
  expect(readSettings(SynthConfig, ['--shape', 'tiny', '--out', 'd'], {})).toMatchObject({
    dtype: 'bfloat16',
    seed: 0,
    maxPosition: 0,
  });
  expect(() => readSettings(SynthConfig, ['--shape', 'tiny'], {})).toThrow('--out DIR is missing (GATTLING_OUT would do too).');
  expect(() => readSettings(SynthConfig, ['tiny'], {})).toThrow('this command takes flags only');
  expect(readSettings(ChatConfig, ['--temperature', '0.5'], {}).temperature).toBe(0.5);
  expect(readSettings(ChatConfig, [], {})).not.toHaveProperty('model');
  expect(() => readSettings(ChatConfig, ['--temperature', '-1'], {})).toThrow(
    '--temperature must be a number from 0 to 2, not "-1".',
  );
});

test('variables that nobody reads', () => {
  const env = { GATTLING_MAX_SEQS: '1', GATTLING_SHAPE: 'tiny', GATTLING_PORT: '1', GATTLING_CPU: 'avx2', PATH: '' };
  expect(strayVariables([ServeConfig, SynthConfig], env)).toEqual([
    'GATTLING_MAX_SEQS is not a setting; did you mean GATTLING_MAX_NUM_SEQS?',
  ]);
});
