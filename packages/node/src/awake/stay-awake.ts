import koffi from 'koffi';

/** ES_CONTINUOUS and ES_SYSTEM_REQUIRED: the system does not sleep by itself. Its screen may. */
const awakeUntilChanged = 0x80000001;

/**
 * Keeps Windows awake until this process ends, and returns whether it agreed. Elsewhere there is nothing to do here, see
 * `keepAwake`.
 */
export function stayAwake(): boolean {
  if (process.platform !== 'win32') return true;
  const set = koffi.load('kernel32.dll').func('uint32_t __stdcall SetThreadExecutionState(uint32_t flags)') as (
    flags: number,
  ) => number;
  return set(awakeUntilChanged) !== 0;
}
