/**
 * Variable of the environment without which llama.cpp, where it aborts, has a debugger print its stack, if there is one.
 * That takes seconds in which nobody hears of the end, and prints what lies in memory, text of users included.
 */
export const withoutDebugger = { GGML_NO_BACKTRACE: '1' } as const;
