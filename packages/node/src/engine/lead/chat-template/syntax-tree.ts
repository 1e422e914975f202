import { parse, tokenize } from '@huggingface/jinja';

/**
 * The syntax tree of a template as the parser makes it. The parser does not export its own types; these name the parts
 * that the interpreter reads. A node of another type is refused when it is evaluated.
 */
export type Node =
  | Block
  | { readonly type: 'If'; readonly test: Node; readonly body: readonly Node[]; readonly alternate: readonly Node[] }
  | ForNode
  | { readonly type: 'Set'; readonly assignee: Node; readonly value: Node | null; readonly body: readonly Node[] }
  | MacroNode
  | CallBlock
  | { readonly type: 'FilterStatement'; readonly filter: FilterName; readonly body: readonly Node[] }
  | { readonly type: 'Break' | 'Continue' }
  | { readonly type: 'Comment'; readonly value: string }
  | { readonly type: 'IntegerLiteral' | 'FloatLiteral'; readonly value: number }
  | { readonly type: 'StringLiteral'; readonly value: string }
  | { readonly type: 'ArrayLiteral'; readonly value: readonly Node[] }
  | TupleLiteral
  | { readonly type: 'ObjectLiteral'; readonly value: ReadonlyMap<Node, Node> }
  | Identifier
  | MemberNode
  | CallNode
  | { readonly type: 'UnaryExpression'; readonly operator: Token; readonly argument: Node }
  | BinaryNode
  | { readonly type: 'FilterExpression'; readonly operand: Node; readonly filter: FilterName }
  | { readonly type: 'TestExpression'; readonly operand: Node; readonly negate: boolean; readonly test: Identifier }
  | { readonly type: 'SelectExpression'; readonly lhs: Node; readonly test: Node }
  | { readonly type: 'Ternary'; readonly condition: Node; readonly trueExpr: Node; readonly falseExpr: Node }
  | SliceNode
  | KeywordArgument
  | { readonly type: 'SpreadExpression' | 'KeywordSpreadExpression'; readonly argument: Node };

export interface Block {
  readonly type: 'Program';
  readonly body: readonly Node[];
}

export interface ForNode {
  readonly type: 'For';
  readonly loopvar: Identifier | TupleLiteral;
  readonly iterable: Node;
  readonly body: readonly Node[];
  /** Body to render when there is nothing to iterate over. */
  readonly defaultBlock: readonly Node[];
}

export interface MacroNode {
  readonly type: 'Macro';
  readonly name: Identifier;
  readonly args: readonly (Identifier | KeywordArgument)[];
  readonly body: readonly Node[];
}

export interface CallBlock {
  readonly type: 'CallStatement';
  readonly call: CallNode;
  readonly callerArgs: readonly (Identifier | KeywordArgument)[] | null;
  readonly body: readonly Node[];
}

export interface Identifier {
  readonly type: 'Identifier';
  readonly value: string;
}

export interface TupleLiteral {
  readonly type: 'TupleLiteral';
  readonly value: readonly Node[];
}

export interface MemberNode {
  readonly type: 'MemberExpression';
  readonly object: Node;
  readonly property: Node;
  /** Whether it was written with brackets. */
  readonly computed: boolean;
}

export interface CallNode {
  readonly type: 'CallExpression';
  readonly callee: Node;
  readonly args: readonly Node[];
}

export interface BinaryNode {
  readonly type: 'BinaryExpression';
  readonly operator: Token;
  readonly left: Node;
  readonly right: Node;
}

export interface SliceNode {
  readonly type: 'SliceExpression';
  readonly start?: Node | undefined;
  readonly stop?: Node | undefined;
  readonly step?: Node | undefined;
}

export interface KeywordArgument {
  readonly type: 'KeywordArgumentExpression';
  readonly key: Identifier;
  readonly value: Node;
}

/** A filter, with or without arguments. */
export type FilterName = Identifier | CallNode;

interface Token {
  readonly type: string;
  readonly value: string;
}

/** Most characters of a template. The longest that models carry have some 20,000. */
const maxTemplateCharacters = 1024 * 1024;
/** Most consecutive white space. The tokenizer's search for tags behind white space takes its length squared. */
const overlongBlank = /\s{4097}/;
const lineMark = '\0line ';

/**
 * Parses a template, with the white space rules of chat templates (`trim_blocks`, `lstrip_blocks`). Before each tag it
 * puts a comment that names its line, see {@link lineOf}: the tree itself doesn't know lines.
 *
 * @throws Error when the source is no template, or too long
 */
export function parseTemplate(source: string): Block {
  if (source.length > maxTemplateCharacters || overlongBlank.test(source)) throw new Error('it is too long');
  // The package's declarations do not resolve, so all that comes from it is untyped.
  const tokens: readonly Token[] = tokenize(source, { trim_blocks: true, lstrip_blocks: true });
  const marked: Token[] = [];
  let position = 0;
  let line = 1;
  for (const token of tokens) {
    // Texts and strings lost escapes and white space, so they may not stand in the source as they are.
    if (token.type !== 'Text' && token.type !== 'StringLiteral' && token.type !== 'Comment') {
      const found = source.indexOf(token.value, position);
      if (found >= 0) {
        for (let index = source.indexOf('\n', position); index >= 0 && index < found;) {
          line += 1;
          index = source.indexOf('\n', index + 1);
        }
        position = found;
      }
    }
    if (token.type === 'OpenStatement' || token.type === 'OpenExpression') {
      marked.push({ value: `${lineMark}${line}`, type: 'Comment' });
    }
    marked.push(token);
  }
  return parse(marked);
}

/** Returns the line that a comment of {@link parseTemplate} names; undefined for one of the template's own. */
export function lineOf(comment: string): number | undefined {
  return comment.startsWith(lineMark) ? Number(comment.slice(lineMark.length)) : undefined;
}
