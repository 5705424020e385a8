// One row for each rule: what is sent, and the parameter and sentence that come back.
import { describe, expect, test } from 'vitest';
import { vocabSize } from './fake-engine.ts';
import { chat, completion, testServer } from './server.ts';

type Row = [fields: object, param: string, message: string | RegExp];

const user = (content: unknown) => ({ messages: [{ role: 'user', content }] });
const numbers = ['temperature', 'top_p', 'presence_penalty', 'frequency_penalty', 'min_p', 'repetition_penalty'];
const integers = ['n', 'seed', 'max_tokens', 'top_k', 'min_tokens'];
const booleans = ['stream', 'ignore_eos'];

const refusal = (name: string, value: boolean): Row => [
  { [name]: value },
  name,
  `${name} is not supported by this server; leave it out or send ${!value}.`,
];

const shared: Row[] = [
  ...numbers.map((name): Row => [{ [name]: '1' }, name, `${name} must be a finite number or null, not "1".`]),
  ...integers.map((name): Row => [{ [name]: 1.5 }, name, `${name} must be an integer or null, not 1.5.`]),
  ...integers.map((name): Row => [{ [name]: '1' }, name, `${name} must be an integer or null, not "1".`]),
  ...booleans.map((name): Row => [{ [name]: 'true' }, name, `${name} must be true or false or null, not "true".`]),
  [{ model: undefined }, 'model', 'model is required.'],
  [{ model: 7 }, 'model', 'model must be a string, not 7.'],
  [{ model: null }, 'model', 'model must be a string, not null.'],
  [{ temperature: -0.1 }, 'temperature', 'temperature must be >= 0, not -0.1.'],
  [{ temperature: 3 }, 'temperature', 'temperature must be <= 2, not 3.'],
  [{ top_p: 1.01 }, 'top_p', 'top_p must be <= 1, not 1.01.'],
  [{ top_p: -1 }, 'top_p', 'top_p must be >= 0, not -1.'],
  [{ n: 0 }, 'n', 'n must be >= 1, not 0.'],
  [{ n: 129 }, 'n', 'n must be <= 128, not 129.'],
  [{ n: 1e9 }, 'n', 'n must be <= 128, not 1000000000.'],
  [{ n: [1] }, 'n', 'n must be an integer or null, not an array of 1.'],
  [{ seed: 2 ** 65 }, 'seed', /^seed must be <= /],
  [{ max_tokens: -1 }, 'max_tokens', /^max_tokens must be >= [01], not -1\.$/],
  [{ presence_penalty: 2.1 }, 'presence_penalty', 'presence_penalty must be <= 2, not 2.1.'],
  [{ presence_penalty: -2.1 }, 'presence_penalty', 'presence_penalty must be >= -2, not -2.1.'],
  [{ frequency_penalty: 3 }, 'frequency_penalty', 'frequency_penalty must be <= 2, not 3.'],
  [{ frequency_penalty: -3 }, 'frequency_penalty', 'frequency_penalty must be >= -2, not -3.'],
  [{ min_p: 2 }, 'min_p', 'min_p must be <= 1, not 2.'],
  [{ repetition_penalty: 0 }, 'repetition_penalty', 'repetition_penalty must be >= 0.01, not 0.'],
  [{ top_k: -2 }, 'top_k', 'top_k must be >= -1, not -2.'],
  [{ min_tokens: -1 }, 'min_tokens', 'min_tokens must be >= 0, not -1.'],
  [{ min_tokens: 9, max_tokens: 8 }, 'min_tokens', 'min_tokens must be at most the 8 tokens that may be generated, not 9.'],
  [{ stop: '' }, 'stop', 'stop must have at least 1 character(s), not "".'],
  [{ stop: 'x'.repeat(1025) }, 'stop', /^stop must have at most 1024 characters, not "x+\.\.\."\.$/],
  [{ stop: ['a', 'x'.repeat(1025)] }, 'stop.1', /^stop\.1 must have at most 1024 characters, not "x+\.\.\."\.$/],
  [{ stop: ['a', ''] }, 'stop.1', 'stop.1 must have at least 1 character(s), not "".'],
  [{ stop: [] }, 'stop', 'stop must have at least 1 item(s), not an array of 0.'],
  [{ stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop', 'stop must have at most 4 items, not an array of 5.'],
  [{ stop: [1] }, 'stop.0', 'stop.0 must be a string, not 1.'],
  [{ stop: 1 }, 'stop', 'stop must be a string, an array or null, not 1.'],
  [{ stop_token_ids: [-1] }, 'stop_token_ids.0', 'stop_token_ids.0 must be >= 0, not -1.'],
  [{ stop_token_ids: [1, vocabSize] }, 'stop_token_ids.1', 'stop_token_ids.1 must be a token id from 0 to 257, not 258.'],
  [{ stop_token_ids: [1.5] }, 'stop_token_ids.0', 'stop_token_ids.0 must be an integer, not 1.5.'],
  [
    { stop_token_ids: new Array(33).fill(1) },
    'stop_token_ids',
    'stop_token_ids must have at most 32 items, not an array of 33.',
  ],
  [{ logit_bias: { '5': 101 } }, 'logit_bias.5', 'logit_bias.5 must be <= 100, not 101.'],
  [{ logit_bias: { '5': -101 } }, 'logit_bias.5', 'logit_bias.5 must be >= -100, not -101.'],
  [{ logit_bias: { '5': '1' } }, 'logit_bias.5', 'logit_bias.5 must be a finite number, not "1".'],
  [
    { logit_bias: Object.fromEntries(Array.from({ length: 1025 }, (_, id) => [id, 1])) },
    'logit_bias',
    'logit_bias must have at most 1024 keys, not an object.',
  ],
  [{ logit_bias: [1] }, 'logit_bias', 'logit_bias must be an object or null, not an array of 1.'],
  ...['-1', '1.5', 'abc', '', ' 1', '258', '2147483648', '99999999999999999999', '__proto__'].map((id): Row => {
    const message = `logit_bias keys must be token ids from 0 to 257, not ${JSON.stringify(id)}.`;
    return [{ logit_bias: JSON.parse(`{${JSON.stringify(id)}: 1}`) }, `logit_bias.${id}`, message];
  }),
  [{ stream_options: { include_usage: true } }, 'stream_options', 'stream_options is only allowed when stream is true.'],
  [
    { stream: true, stream_options: { include_usage: 1 } },
    'stream_options.include_usage',
    'stream_options.include_usage must be true or false or null, not 1.',
  ],
  [{ stream: true, stream_options: 1 }, 'stream_options', 'stream_options must be an object or null, not 1.'],
  [{ suffix: 'x' }, 'suffix', 'suffix is not supported by this server; leave it out.'],
  [{ prediction: {} }, 'prediction', 'prediction is not supported by this server; leave it out.'],
  [{ guided_json: {} }, 'guided_json', 'guided_json is not supported by this server; leave it out.'],
  refusal('skip_special_tokens', false),
  ...['include_stop_str_in_output', 'use_beam_search'].map((name) => refusal(name, true)),
  [{ length_penalty: 2 }, 'length_penalty', 'length_penalty is not supported by this server; leave it out or send 1.'],
  [{ truncate_prompt_tokens: 5 }, 'truncate_prompt_tokens', /^truncate_prompt_tokens is not supported/],
  [
    { chat_template_kwargs: { tokenize: true } },
    'chat_template_kwargs',
    'chat_template_kwargs is not supported by this server; leave it out or send {}.',
  ],
  [{ chat_template: '{{ x }}' }, 'chat_template', 'chat_template is not supported by this server; leave it out.'],
];

const chatRows: Row[] = [
  ...shared,
  [{ messages: undefined }, 'messages', 'messages is required.'],
  [{ messages: [] }, 'messages', 'messages must have at least 1 item(s), not an array of 0.'],
  [{ messages: 'hi' }, 'messages', 'messages must be an array, not "hi".'],
  [{ messages: [null] }, 'messages.0', 'messages.0 must be an object, not null.'],
  [{ messages: [{ content: 'x' }] }, 'messages.0.role', 'messages.0.role is required.'],
  [
    { messages: [{ role: 'robot', content: 'x' }] },
    'messages.0.role',
    'messages.0.role must be "system", "developer", "user", "assistant" or "tool", not "robot".',
  ],
  [{ messages: [{ role: 'user' }] }, 'messages.0.content', 'messages.0.content must be a string or an array of text parts.'],
  [user(null), 'messages.0.content', 'messages.0.content must be a string or an array of text parts.'],
  [user(3), 'messages.0.content', 'messages.0.content must be a string, an array or null, not 3.'],
  [user([]), 'messages.0.content', 'messages.0.content must have at least 1 item(s), not an array of 0.'],
  [user(['x']), 'messages.0.content.0', 'messages.0.content.0 must be an object, not "x".'],
  [user([{ text: 'x' }]), 'messages.0.content.0.type', 'messages.0.content.0.type is required.'],
  [user([{ type: 'text' }]), 'messages.0.content.0.text', 'messages.0.content.0.text is required in a text part.'],
  ...['image_url', 'input_audio', 'file', 'refusal'].map((type): Row => {
    const parts = [{ type: 'text', text: 'see' }, { type }];
    return [
      user(parts),
      'messages.0.content.1',
      'messages.0.content.1 is not supported by this server; only parts of type "text" are.',
    ];
  }),
  [
    { messages: [{ role: 'tool', content: 'x' }] },
    'messages.0.tool_call_id',
    'messages.0.tool_call_id is required in a tool message.',
  ],
  [
    { messages: [{ role: 'assistant', content: 'x', tool_calls: [{}] }] },
    'messages.0.tool_calls',
    'messages.0.tool_calls is not supported by this server; leave it out or send an empty array.',
  ],
  [user('refuse me'), 'messages', 'The template refuses this conversation.'],
  [{ system_mode: 'always' }, 'system_mode', 'system_mode must be "first", "every_turn" or "last_turn", not "always".'],
  [{ truncation: 'auto' }, 'truncation', 'truncation must be "error" or "drop_oldest", not "auto".'],
  [{ truncation: true }, 'truncation', 'truncation must be "error" or "drop_oldest", not true.'],
  [{ continue_final_message: 1 }, 'continue_final_message', 'continue_final_message must be true or false or null, not 1.'],
  [
    { continue_final_message: true, add_generation_prompt: true },
    'add_generation_prompt',
    'add_generation_prompt must be false or left out when continue_final_message is true: the answer has begun already.',
  ],
  [{ max_tokens: 0 }, 'max_tokens', 'max_tokens must be >= 1, not 0.'],
  [{ max_completion_tokens: 0 }, 'max_completion_tokens', 'max_completion_tokens must be >= 1, not 0.'],
  [{ logprobs: 1 }, 'logprobs', 'logprobs must be true or false or null, not 1.'],
  [{ top_logprobs: 1 }, 'top_logprobs', 'top_logprobs is only allowed when logprobs is true.'],
  [{ logprobs: true, top_logprobs: 21 }, 'top_logprobs', 'top_logprobs must be <= 20, not 21.'],
  [{ logprobs: true, top_logprobs: -1 }, 'top_logprobs', 'top_logprobs must be >= 0, not -1.'],
  [{ tools: [{}] }, 'tools', 'tools is not supported by this server; leave it out or send an empty array.'],
  [{ tool_choice: 'required' }, 'tool_choice', /^tool_choice is not supported/],
  [{ functions: [{}] }, 'functions', /^functions is not supported/],
  [{ function_call: { name: 'f' } }, 'function_call', /^function_call is not supported/],
  [{ response_format: { type: 'json_object' } }, 'response_format', /leave it out or send \{"type": "text"\}\.$/],
  [{ response_format: 'text' }, 'response_format', /^response_format is not supported/],
  [{ modalities: ['text', 'audio'] }, 'modalities', /^modalities is not supported/],
  [{ audio: {} }, 'audio', /^audio is not supported/],
];

const promptRule = 'prompt must be a string, token ids, or up to 2048 of either in an array, none of them an empty array.';

const completionRows: Row[] = [
  ...shared,
  refusal('add_generation_prompt', false),
  refusal('continue_final_message', true),
  [{ prompt: undefined }, 'prompt', 'prompt is required.'],
  ...[7, {}, true, [], new Array(2049).fill('a')].map((prompt): Row => [{ prompt }, 'prompt', promptRule]),
  ...[[[]], [null], [{}], [true]].map((prompt): Row => [{ prompt }, 'prompt.0', promptRule]),
  ...[
    [[1], 'a'],
    ['a', [1]],
    ['a', 1],
    [[1], []],
  ].map((prompt): Row => [{ prompt }, 'prompt.1', promptRule]),
  ...[1.5, -1, 'a', null, [1]].map((id): Row => {
    const shown = Array.isArray(id) ? 'an array of 1' : JSON.stringify(id);
    return [{ prompt: [1, id] }, 'prompt.1', `prompt.1 must be a token id from 0 to 257, not ${shown}.`];
  }),
  [{ prompt: [1, 258] }, 'prompt.1', 'prompt.1 must be a token id from 0 to 257, not 258.'],
  [{ prompt: [[1], [2, 2 ** 31]] }, 'prompt.1.1', 'prompt.1.1 must be a token id from 0 to 257, not 2147483648.'],
  [{ prompt: new Array(129).fill('a'), n: 16 }, 'n', 'n times the number of prompts must be <= 2048, not 2064.'],
  [{ logprobs: 21 }, 'logprobs', 'logprobs must be <= 20, not 21.'],
  [{ logprobs: true }, 'logprobs', 'logprobs must be an integer or null, not true.'],
  [{ echo: 1 }, 'echo', 'echo must be true or false or null, not 1.'],
  [{ best_of: 0 }, 'best_of', 'best_of must be >= 1, not 0.'],
  [{ best_of: 1_000_000 }, 'best_of', 'best_of is not supported by this server; leave it out or send the same number as n.'],
  [{ n: 2, best_of: 3 }, 'best_of', 'best_of is not supported by this server; leave it out or send the same number as n.'],
];

const large = 30_000;

/** Explaining each of these in full would hold the event loop for seconds to minutes. */
test.each([
  ['a mistake in each of many messages', chat({ messages: new Array(large).fill({}) }), 'messages.0.role is required.'],
  [
    'a mistake after many messages',
    chat({ messages: [...new Array(large).fill({ role: 'user', content: 'x' }), 7] }),
    'The body has a mistake beyond the first 10000 values of a field.',
  ],
  [
    'many stop tokens',
    chat({ stop_token_ids: new Array(large).fill(1) }),
    'stop_token_ids must have at most 32 items, not an array of 30000.',
  ],
])('%s', async (_name, body, message) => {
  const { post } = await testServer();
  const response = await post('/v1/chat/completions', body);
  expect([response.statusCode, response.json().error.message]).toEqual([400, message]);
});

describe.each([
  ['/v1/chat/completions', chat, chatRows],
  ['/v1/completions', completion, completionRows],
] as const)('%s', (path, body, rows) => {
  test.each(rows.map((row) => [JSON.stringify(row[0])?.slice(0, 80), ...row] as const))(
    'refuses %s',
    async (_name, fields, param, message) => {
      const server = await testServer();
      const response = await server.post(path, body(fields));
      const { error } = response.json();
      if (message instanceof RegExp) expect(error.message).toMatch(message);
      else expect(error.message).toBe(message);
      expect([response.statusCode, error.param, error.type]).toEqual([400, param, 'invalid_request_error']);
      expect(Object.keys(error)).toEqual(['message', 'type', 'param', 'code']);
      expect(server.engine.requests).toEqual([]);
    },
  );

  test.each(['NaN', '1e999', '-1e999'])('refuses the number %s', async (number) => {
    const { app } = await testServer();
    const payload = JSON.stringify(body({ temperature: 0.123 })).replace('0.123', number);
    const response = await app.inject({ method: 'POST', url: path, headers: { 'content-type': 'application/json' }, payload });
    expect(response.statusCode).toBe(400);
    expect(response.json().error.type).toBe('invalid_request_error');
  });

  test.each([[null], ['x'], [3], [[]]])('refuses %j as a body', async (value) => {
    const { post } = await testServer();
    const response = await post(path, value);
    expect([response.statusCode, response.json().error.message]).toEqual([
      400,
      expect.stringMatching(/^The body must be an object|is required/),
    ]);
  });

  const nullable = [
    ...numbers,
    ...integers,
    ...booleans,
    'stop',
    'logit_bias',
    'logprobs',
    'stop_token_ids',
    'stream_options',
    'user',
  ];
  const conversation = ['system_mode', 'truncation', 'add_generation_prompt', 'continue_final_message'];
  test.each([...nullable, 'tools', 'tool_choice', 'response_format', 'suffix', 'best_of', 'echo', ...conversation])(
    'takes null for %s',
    async (name) => {
      const { post } = await testServer();
      const response = await post(path, body({ [name]: null }));
      expect(response.statusCode).toBe(200);
      expect(response.headers['x-gattling-ignored']).toBeUndefined();
    },
  );
});
