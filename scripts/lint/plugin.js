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

export default { meta: { name: 'skein' }, rules: { 'no-raw-abort-listener': noRawAbortListener } };
