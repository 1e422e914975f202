import { invariant } from '@skein/protocol';

import type { CharacterRange, Grammar, GrammarNode } from './node.ts';

/** Prints a grammar as llama.cpp's GBNF, one rule a line. */
export function printGrammar(grammar: Grammar): string {
  return [...grammar].map(([name, node]) => `${name} ::= ${print(node)}\n`).join('');
}

function print(node: GrammarNode): string {
  switch (node.type) {
    case 'text':
      return `"${node.text.replace(/["\\\p{Cc}\p{Cs}]/gu, escapeCharacter)}"`;
    case 'characters':
      return `[${node.ranges.map(printRange).join('')}]`;
    case 'rule':
      return node.name;
    case 'sequence':
      return node.parts.length === 0 ? '""' : node.parts.map(printPart).join(' ');
    case 'choice':
      return node.alternatives.map(print).join(' | ');
    case 'repeat':
      return `${printUnit(node.of)}${printCount(node.least, node.most)}`;
    case 'never':
      throw new Error('a grammar was printed before its endless parts were removed');
  }
}

function printPart(node: GrammarNode): string {
  return node.type === 'choice' ? `(${print(node)})` : print(node);
}

function printUnit(node: GrammarNode): string {
  return node.type === 'characters' || node.type === 'rule' ? print(node) : `(${print(node)})`;
}

function printCount(least: number, most: number): string {
  if (least === 0 && most === 1) return '?';
  if (most === Infinity) return least === 0 ? '*' : least === 1 ? '+' : `{${least},}`;
  return least === most ? `{${least}}` : `{${least},${most}}`;
}

function printRange([first, last]: CharacterRange): string {
  return first === last ? printCodePoint(first) : `${printCodePoint(first)}-${printCodePoint(last)}`;
}

function printCodePoint(codePoint: number): string {
  const character = String.fromCodePoint(codePoint);
  return /[0-9A-Za-z _.:/+,;=]/.test(character) ? character : escapeCharacter(character);
}

function escapeCharacter(character: string): string {
  if (character === '"' || character === '\\') return `\\${character}`;
  const codePoint = invariant(character.codePointAt(0), 'a character is no empty text');
  const digits = codePoint.toString(16).toUpperCase();
  if (codePoint <= 0xff) return `\\x${digits.padStart(2, '0')}`;
  return codePoint <= 0xffff ? `\\u${digits.padStart(4, '0')}` : `\\U${digits.padStart(8, '0')}`;
}
