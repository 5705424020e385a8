// A tokenizer for weights that mean nothing: one token per byte (GPT-2's byte alphabet), and fillers up to the vocabulary.
import { ModelError } from './read.ts';

interface Vocabulary {
  size: number;
  bosId: number;
  eosId: number;
}

/** GPT-2's printable stand-in for each byte (bytes_to_unicode of openai/gpt-2's encoder.py). */
export function byteAlphabet(): string[] {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}

const BOS = '<s>';
const EOS = '</s>';

/** id -> piece. Specials sit where the config puts them, bytes at the lowest ids left, fillers at the rest. */
function pieces({ size, bosId, eosId }: Vocabulary): string[] {
  const alphabet = byteAlphabet();
  if (size < alphabet.length + 2) {
    throw new ModelError(
      `"vocab_size" must be at least ${alphabet.length + 2} (256 bytes and two special tokens), not ${size}.`,
    );
  }
  if (bosId >= size || eosId >= size || bosId === eosId) {
    throw new ModelError(
      `"bos_token_id" and "eos_token_id" must be two ids below "vocab_size" ${size}, not ${bosId} and ${eosId}.`,
    );
  }
  let byte = 0;
  return Array.from({ length: size }, (_, id) => {
    if (id === bosId) return BOS;
    if (id === eosId) return EOS;
    // Ġ is the alphabet's space. No merge leads to a filler: text never becomes one, but a model may choose it.
    return alphabet[byte++] ?? `Ġ${id}`;
  });
}

const special = (id: number, content: string) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

/** The texts of tokenizer.json and tokenizer_config.json. */
export function byteTokenizer(vocabulary: Vocabulary, maxPosition: number): { tokenizer: string; config: string } {
  const { bosId, eosId } = vocabulary;
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  const sequence = (id: string, typeId: number) => ({ Sequence: { id, type_id: typeId } });
  const bos = (typeId: number) => ({ SpecialToken: { id: BOS, type_id: typeId } });
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [special(bosId, BOS), special(eosId, EOS)].sort((a, b) => a.id - b.id),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: {
      type: 'TemplateProcessing',
      single: [bos(0), sequence('A', 0)],
      pair: [bos(0), sequence('A', 0), bos(1), sequence('B', 1)],
      special_tokens: { [BOS]: { id: BOS, ids: [bosId], tokens: [BOS] } },
    },
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(pieces(vocabulary).map((piece, id) => [piece, id])),
      merges: [],
    },
  };
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    add_bos_token: true,
    add_eos_token: false,
    bos_token: BOS,
    eos_token: EOS,
    clean_up_tokenization_spaces: false,
    model_max_length: maxPosition,
  };
  return { tokenizer: JSON.stringify(tokenizer), config: `${JSON.stringify(config, null, 2)}\n` };
}
