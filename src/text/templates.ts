// Chat templates by name, in Jinja, for models that come without one. Control tokens are spelled out: the format is what has the name.

/** Roles must be an optional system message, then user and assistant in turn; defines `system` (or '') and `turns`. */
const ALTERNATING = (name: string) => `
{%- set rule = 'The ${name} chat template takes an optional system message, then user and assistant messages in turn' -%}
{%- set system = messages[0].content if messages and messages[0].role == 'system' else '' -%}
{%- set turns = messages[1:] if messages and messages[0].role == 'system' else messages -%}
{%- if not turns -%}
  {{- raise_exception(rule + '; there is no user message.') -}}
{%- endif -%}
{%- for message in turns -%}
  {%- if message.role != ('user' if loop.index0 % 2 == 0 else 'assistant') -%}
    {{- raise_exception(rule + '; a message of role ' + message.role + ' is out of turn.') -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt and turns[-1].role != 'user' -%}
  {{- raise_exception(rule + '; the last must be a user message.') -}}
{%- endif -%}
`;

/** Llama 2 Chat: chat_completion in generation.py of facebookresearch/llama (each pair of turns is a document of its own). */
const LLAMA_2 = `${ALTERNATING('llama-2')}
{%- for message in turns -%}
  {%- if message.role == 'user' -%}
    {%- set text = message.content -%}
    {%- if loop.first and messages[0].role == 'system' -%}
      {%- set text = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + text -%}
    {%- endif -%}
    {{- '<s>[INST] ' + text | trim + ' [/INST]' -}}
  {%- else -%}
    {{- ' ' + message.content | trim + ' </s>' -}}
  {%- endif -%}
{%- endfor -%}
`;

/** Llama 3 Instruct: ChatFormat in tokenizer.py of meta-llama/llama3; "ipython" is what Llama 3.1 calls a tool's answer. */
const LLAMA_3 = `
{{- '<|begin_of_text|>' -}}
{%- for message in messages -%}
  {%- set role = 'ipython' if message.role == 'tool' else message.role -%}
  {{- '<|start_header_id|>' + role + '<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
{%- endif -%}
`;

/** ChatML version 0: chatml.md of openai/openai-python before its version 1. */
const CHATML = `
{%- for message in messages -%}
  {%- set name = ' name=' + message.name if message.name else '' -%}
  {{- '<|im_start|>' + message.role + name + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
`;

/**
 * Mistral Instruct: tokenizer version 1 of mistralai/mistral-common (one document; the system message leads the first user's). The
 * template that Mistral publishes has " [INST]", for tokenizers that put no space after a control token; the ids are the same.
 */
const MISTRAL = `${ALTERNATING('mistral')}
{{- '<s>' -}}
{%- for message in turns -%}
  {%- if message.role == 'user' -%}
    {{- '[INST] ' + (system + '\\n\\n' if loop.first and system else '') + message.content + ' [/INST]' -}}
  {%- else -%}
    {{- ' ' + message.content + '</s>' -}}
  {%- endif -%}
{%- endfor -%}
`;

export const BUILT_IN: ReadonlyMap<string, string> = new Map([
  ['llama-2', LLAMA_2],
  ['llama-3', LLAMA_3],
  ['chatml', CHATML],
  ['mistral', MISTRAL],
]);
