import { invariant } from '@skein/protocol';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { tinyModelFile } from '../../../../../../../scripts/cluster/models.ts';
import { libraryDirectory } from '../../../../hardware/backend.ts';
import { Tokenizer } from '../../../lead/tokenizer.ts';
import { loadLibllama, type Libllama, type ModelPointer } from '../../../libllama/libllama.ts';
import { Candidates } from '../candidates.ts';
import { Grammars } from './grammar.ts';

let library: Libllama;
let tokenizer: Tokenizer;
let model: ModelPointer;
let file: Awaited<ReturnType<typeof tinyModelFile>>;

beforeAll(async () => {
  file = await tinyModelFile();
  library = loadLibllama(await libraryDirectory('cpu'));
  ({ tokenizer, model } = Tokenizer.open(library, file.path));
});

afterAll(async () => {
  library.modelFree(model);
  await file[Symbol.asyncDispose]();
});

/** Grammars that llama.cpp reads as well, and that it is fast with. */
const grammars = [
  'root ::= "yes" | "no" | "maybe" [!.]?',
  'root ::= [a-zA-Z ]{1,12} "."',
  'root ::= .*',
  'root ::= [^a-z\\n]+ "\\x41"?',
  'root ::= ("é" | [à-ÿ] | "漢" | "😀")+',
  'root ::= "(" root ")" root | ""',
  'root ::= item (", " item)*\nitem ::= [a-z]+ | [0-9]{2}',
  'root ::= expr\nexpr ::= term (("+" | "-") term)*\nterm ::= [0-9]+ | "(" expr ")"',
  'root ::= "{" ws (str ":" ws [0-9]+ ("," ws str ":" ws [0-9]+)*)? "}"\nstr ::= "\\"" [^"\\\\]* "\\""\nws ::= [ \\t]*',
];

it.each(grammars)('allows the tokens that llama.cpp allows: %s', (text) => {
  const size = tokenizer.vocabularySize;
  const grammars = new Grammars({
    size,
    piece: (token) => tokenizer.piece(token),
    isEndOfGeneration: (token) => tokenizer.isEndOfGeneration(token),
  });
  const candidates = new Candidates(library, size);
  const theirs = library.samplerGrammar(library.modelVocab(model), text, 'root');
  if (theirs === null) throw new Error('llama.cpp does not read the grammar');
  const comparable = Array.from({ length: size }, (_, token) => token).filter(
    (token) => tokenizer.isEndOfGeneration(token) || isComparable(tokenizer.piece(token)),
  );
  let state = invariant(grammars.open(text), 'nothing was generated that it might not derive');
  for (let drawn = 0; drawn < 8; drawn += 1) {
    const ours = state.allowed();
    const allowed = comparable.filter((token) => ours[token] === 1);
    const both = comparable.filter((token) => {
      const only = new Float32Array(size).fill(-Infinity);
      only[token] = 0;
      candidates.fill(only);
      candidates.apply(theirs);
      return candidates.isPossible;
    });
    expect(allowed).toEqual(both);
    const next = allowed.filter((token) => !tokenizer.isEndOfGeneration(token));
    const token = next[(drawn * 7919) % Math.max(1, next.length)];
    const after = token === undefined ? undefined : state.after(token);
    if (token === undefined || after === undefined) break;
    library.samplerAccept(theirs, token);
    state = after;
  }
  library.samplerFree(theirs);
});

/**
 * Whether both treat a token's text alike: llama.cpp compares control tokens, which have none, by their names, never allows a zero
 * byte and does allow bytes that no character of UTF-8 begins with.
 */
function isComparable([first]: Uint8Array): boolean {
  return first !== undefined && first !== 0 && first !== 0xc0 && first !== 0xc1 && first < 0xf5;
}
