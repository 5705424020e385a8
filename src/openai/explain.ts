// From a schema's errors to one sentence that names the field, what is right and what was sent.
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import type { TLocalizedValidationError } from 'typebox/error';
import { type ApiError, clip, invalid } from './errors.ts';

export type Validator = (value: unknown) => { value: unknown } | { error: ApiError };

/** No coercion: "1" is not a number. */
export function validator(schema: TSchema): Validator {
  const compiled = Compile(schema);
  return (value) => (compiled.Check(value) ? { value } : { error: explain(schema, compiled.Errors(value), value) });
}

function explain(schema: TSchema, errors: TLocalizedValidationError[], value: unknown): ApiError {
  const relevant = mostSpecific(errors.filter((error) => error.keyword !== 'anyOf'));
  const first = relevant[0];
  if (first === undefined) return invalid('', 'The body does not match what this route takes.');
  const path = first.instancePath.split('/').slice(1).map(plain);
  const expected = expectation(schema, path[0]);
  if (expected !== null) return invalid(path[0] ?? '', `${path[0]} must be ${expected}.`);
  if (first.keyword === 'required') {
    const param = [...path, first.params.requiredProperties[0] ?? ''].join('.');
    return invalid(param, `${param} is required.`);
  }
  const param = path.join('.');
  return invalid(param, `${param || 'The body'} must ${rule(relevant)}, not ${shown(at(value, path))}.`);
}

/** The first error and its alternatives; where an alternative got further into the value, only that one. */
function mostSpecific(errors: TLocalizedValidationError[]): TLocalizedValidationError[] {
  let path = errors[0]?.instancePath ?? '';
  for (const error of errors) if (error.instancePath.startsWith(`${path}/`)) path = error.instancePath;
  return errors.filter((error) => error.instancePath === path);
}

function rule(errors: TLocalizedValidationError[]): string {
  const limit = errors.find((error) => error.keyword !== 'type' && error.keyword !== 'required');
  if (limit === undefined) return `be ${list(errors.flatMap(typeNames))}`;
  if (limit.keyword === 'enum') return `be ${list(limit.params.allowedValues.map((allowed) => JSON.stringify(allowed)))}`;
  if (limit.keyword === 'minLength') return `have at least ${limit.params.limit} character(s)`;
  if (limit.keyword === 'minItems') return `have at least ${limit.params.limit} item(s)`;
  if (limit.keyword === 'maxItems') return `have at most ${limit.params.limit} items`;
  return limit.message.replace(/^must /, '');
}

const articles: Record<string, string> = {
  string: 'a string',
  number: 'a finite number',
  integer: 'an integer',
  boolean: 'true or false',
  array: 'an array',
  object: 'an object',
  null: 'null',
};

function typeNames(error: TLocalizedValidationError): string[] {
  if (error.keyword !== 'type') return [];
  return [error.params.type].flat().map((name) => articles[name] ?? name);
}

const list = (words: string[]) => (words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`);

/** A field's own wording, for unions whose alternatives would make a riddle. */
function expectation(schema: TSchema, field: string | undefined): string | null {
  const properties = (schema as { properties?: Record<string, { expected?: string }> }).properties;
  return (field !== undefined && properties && Object.hasOwn(properties, field) && properties[field]?.expected) || null;
}

function at(value: unknown, path: string[]): unknown {
  return path.reduce((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value);
}

function shown(value: unknown): string {
  if (typeof value === 'string') return clip(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

const plain = (segment: string) => segment.replaceAll('~1', '/').replaceAll('~0', '~');
