/** Exit codes of all commands, beside 128 + number for a signal. {@link exitCodesHelp} explains them to people. */
export const exitCodes = Object.freeze({ ok: 0, failed: 1, usage: 2, tampered: 3, brokenPipe: 141 });

export const exitCodesHelp = `Exit codes:
  0    done; for \`up\` and \`join\`: stopped by \`skein stop\`
  1    failed; one line on stderr says why and what to do
  2    wrong usage: an unknown command or flag, or a value that makes no sense
  3    \`audit verify\`: the log is not as the coordinator wrote it
  130  interrupted (Ctrl-C, or Ctrl-Break on Windows); everything that was started has been stopped in order
  141  whoever read the output went away; likewise
  143  terminated (SIGTERM); likewise
With --json a failure is one line on stdout, too, the last: {"error":{"code":"…","message":"…"}}`;
