/** Rules of our own for oxlint. JavaScript, since oxlint loads it with whatever Node runs it. */
const isAbort = (node) => node?.type === 'Literal' && node.value === 'abort';

const calledName = ({ callee }) => {
  if (callee.type === 'Identifier') return callee.name;
  return callee.type === 'MemberExpression' && !callee.computed ? callee.property.name : undefined;
};

const message = 'listen to a signal with `using _abort = onAbort(signal, …)`, which leaves no listener behind';

/**
 * Forbids `signal.addEventListener('abort', …)`, `once(signal, 'abort')`, `signal.onabort = …`, and an `onAbort` that
 * nobody ends.
 */
const noRawAbortListener = {
  create: (context) => ({
    CallExpression(node) {
      const name = calledName(node);
      const [first, second] = node.arguments;
      const isListener = (name === 'addEventListener' && isAbort(first)) || (name === 'once' && isAbort(second));
      if (isListener) context.report({ node, message });
    },
    AssignmentExpression(node) {
      const { left } = node;
      if (left.type === 'MemberExpression' && !left.computed && left.property.name === 'onabort') {
        context.report({ node, message });
      }
    },
    ExpressionStatement({ expression }) {
      const isDropped = expression.type === 'CallExpression' && calledName(expression) === 'onAbort';
      if (isDropped) context.report({ node: expression, message });
    },
  }),
};

const isNothing = (node) =>
  (node.type === 'Literal' && (node.value === 0 || node.value === '')) ||
  (node.type === 'UnaryExpression' && node.argument.type === 'Literal') ||
  (node.type === 'ArrayExpression' && node.elements.length === 0);

const partsOfLists = new Set(['at', 'charCodeAt', 'codePointAt', 'pop', 'shift']);

/**
 * Tells whether an expression is an element of a list or a text, as `list[index]`, `list.at(-1)` and `list.pop()` are,
 * or a property of one.
 */
const isElement = (node) => {
  if (node.type === 'ChainExpression') return isElement(node.expression);
  if (node.type === 'MemberExpression') return node.computed ? !node.optional : isElement(node.object);
  return node.type === 'CallExpression' && partsOfLists.has(calledName(node));
};

/** Forbids `list[index] ?? 0` and the like: where the element has to be there, a stand-in is somebody else's. */
const noStandIn = {
  create: (context) => ({
    LogicalExpression(node) {
      if (node.operator !== '??' || !isElement(node.left) || !isNothing(node.right)) return;
      const message =
        'take the element with `invariant(…, why it is there)`; where it may be missing, say so with a pattern that has a default, a Map or a condition';
      context.report({ node, message });
    },
  }),
};

/** Forbids `list.splice(list.indexOf(element), 1)`: where the list lacks the element, its last one goes. */
const noAbsentSplice = {
  create: (context) => ({
    CallExpression(node) {
      const [start] = node.arguments;
      if (calledName(node) !== 'splice' || start?.type !== 'CallExpression') return;
      if (!calledName(start)?.match(/^find(Last)?Index$|^(lastI|i)ndexOf$/)) return;
      context.report({ node, message: 'look whether the element is there: at -1, `splice` takes the last one' });
    },
  }),
};

/** Forbids `instanceof SkeinError`: two copies of the package have two classes. */
const noErrorClass = {
  create: (context) => ({
    BinaryExpression(node) {
      if (node.operator !== 'instanceof' || node.right.type !== 'Identifier' || node.right.name !== 'SkeinError')
        return;
      context.report({
        node,
        message: 'ask `isSkeinError` or `hasCode`, which know an error of another copy of the package',
      });
    },
  }),
};

/** A verb in the third person. */
const verb = /^[A-Z][a-z]+s\b/;

/** Demands of each exported function a docstring that begins with a verb. */
const documentedFunctions = {
  create: (context) => {
    const check = (node, name) => {
      const [comment] = context.sourceCode.getCommentsBefore(node).slice(-1);
      const text = comment?.type === 'Block' && comment.value.startsWith('*') ? comment.value : '';
      const [opening = ''] = text
        .split('\n')
        .map((line) => line.replace(/^[\s*]+/, ''))
        .filter((line) => line !== '');
      if (text === '') context.report({ node, message: `document ${name}: meaning, units, defaults, errors` });
      else if (!verb.test(opening))
        context.report({ node, message: `begin the docstring of ${name} with a verb: Returns, Makes, …` });
    };
    return {
      ExportNamedDeclaration(node) {
        const { declaration } = node;
        if (declaration?.type === 'FunctionDeclaration') check(node, declaration.id?.name);
        if (declaration?.type !== 'VariableDeclaration') return;
        for (const { id, init } of declaration.declarations)
          if (init?.type === 'ArrowFunctionExpression') check(node, id.name);
      },
    };
  },
};

/** A sentence that opens with a relative clause, and is no question. */
const relativeOpening = /(?:^|[.:!?]\s)\s*((?:What|Who|Whoever|Which|Whichever|Whatever|How)\b[^.!?]*)(?:[.!]|$)/;

/** Forbids comments with a sentence whose subject is a relative clause: "What is left over is freed." */
const namedSubject = {
  create: (context) => ({
    Program() {
      let lines = [];
      const check = () => {
        const text = lines
          .map(({ value }) => value.replaceAll(/^\s*\*+/gm, ' '))
          .join(' ')
          .replaceAll(/\s+/g, ' ')
          .trim();
        const opening = relativeOpening.exec(text)?.[1];
        if (opening !== undefined) {
          context.report({
            node: lines[0],
            message: `name the subject of "${opening}"; no relative clause stands for it`,
          });
        }
        lines = [];
      };
      for (const comment of context.sourceCode.getAllComments()) {
        const last = lines.at(-1);
        const goesOn =
          last?.type === 'Line' && comment.type === 'Line' && comment.loc.start.line === last.loc.end.line + 1;
        if (!goesOn && lines.length > 0) check();
        lines.push(comment);
      }
      if (lines.length > 0) check();
    },
  }),
};

/**
 * Keeps libraries to the folders that may import them. Options: a list of `{ library, within, message }`, where `library` is a
 * pattern of the module's name, and `within` a part of the importing file's path; left out, nobody may.
 */
const librariesWithin = {
  meta: { schema: [{ type: 'array' }] },
  create: (context) => {
    const path = context.filename.replaceAll('\\', '/');
    const forbidden = context.options[0].filter(({ within }) => within === undefined || !path.includes(within));
    const check = (node, source) => {
      if (source?.type !== 'Literal') return;
      const rule = forbidden.find(({ library }) => new RegExp(library).test(source.value));
      if (rule !== undefined) context.report({ node, message: rule.message });
    };
    return {
      ImportDeclaration: (node) => check(node, node.source),
      ExportNamedDeclaration: (node) => check(node, node.source),
      ExportAllDeclaration: (node) => check(node, node.source),
      ImportExpression: (node) => check(node, node.source),
      TSImportType: (node) => check(node, node.source ?? node.argument),
    };
  },
};

const fileSystem = /^(node:)?fs(\/promises)?$/;
const entryChanges = new Set(['link', 'rename', 'rm', 'unlink'].flatMap((name) => [name, `${name}Sync`]));

/** Forbids what renames, links and removes files without patience: on Windows others may have them open for a moment. */
const patientFiles = {
  create: (context) => ({
    ImportDeclaration(node) {
      if (!fileSystem.test(node.source.value)) return;
      for (const specifier of node.specifiers) {
        const isNamed = specifier.type === 'ImportSpecifier';
        if (isNamed && !entryChanges.has(specifier.imported.name)) continue;
        const message = isNamed
          ? 'change files with `renameFile`, `linkFile`, `removeFile` or `removeTree` of packages/mesh/src/files, which wait on Windows until a scanner lets go'
          : 'import what you use of `fs` by name';
        context.report({ node: specifier, message });
      }
    },
  }),
};

const starters = new Set(['execFile', 'execFileSync', 'spawn', 'spawnSync']);

const hasWindowsHide = (node) =>
  node.type === 'ObjectExpression' && node.properties.some(({ key }) => key?.name === 'windowsHide');

/** Demands `windowsHide` where a process is started: a daemon without a console would pop one up on Windows. */
const hiddenConsoles = {
  create(context) {
    /** Names that a file gives to `promisify(execFile)` and the like. */
    const promisified = new Set();
    return {
      VariableDeclarator({ id, init }) {
        const isPromisified = init?.type === 'CallExpression' && calledName(init) === 'promisify';
        if (isPromisified && starters.has(init.arguments[0]?.name)) promisified.add(id.name);
      },
      CallExpression(node) {
        const { type, name } = node.callee;
        if (type !== 'Identifier' || !(starters.has(name) || promisified.has(name))) return;
        if (node.arguments.some(hasWindowsHide)) return;
        context.report({ node, message: 'say `windowsHide: true`, or a console window pops up on Windows' });
      },
    };
  },
};

export default {
  meta: { name: 'skein' },
  rules: {
    'documented-functions': documentedFunctions,
    'hidden-consoles': hiddenConsoles,
    'libraries-within': librariesWithin,
    'named-subject': namedSubject,
    'no-absent-splice': noAbsentSplice,
    'no-error-class': noErrorClass,
    'no-raw-abort-listener': noRawAbortListener,
    'no-stand-in': noStandIn,
    'patient-files': patientFiles,
  },
};
