// Runs the command, on Node 24: in the process that lives for as long as the command does.
import '@skein/node/loader';

await import('../src/main.ts');
