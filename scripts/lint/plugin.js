/**
 * Rules of our own for oxlint. JavaScript, since oxlint loads it with whatever Node runs it.
 */
const isAbort = (node) => node?.type === 'Literal' && node.value === 'abort';

const calledName = ({ callee }) => {
  if (callee.type === 'Identifier') return callee.name;
  return callee.type === 'MemberExpression' && !callee.computed ? callee.property.name : undefined;
};

const message = 'listen to a signal with `using _abort = onAbort(signal, …)`, which leaves no listener behind';

/** Forbids `signal.addEventListener('abort', …)`, `once(signal, 'abort')`, `signal.onabort = …`, and an `onAbort` that nobody ends. */
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

/** Whether an expression is an element of a list or a text: `list[index]`, `list.at(-1)`, `list.pop()`, and of such a one a property. */
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

export default {
  meta: { name: 'skein' },
  rules: { 'no-raw-abort-listener': noRawAbortListener, 'no-stand-in': noStandIn },
};
