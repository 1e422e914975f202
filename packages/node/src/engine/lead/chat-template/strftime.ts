import { invariant } from '@skein/protocol';

const months = 'January February March April May June July August September October November December'.split(' ');
const weekdays = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

/**
 * Formats a local date as Python's `strftime` does, in English, whatever the machine's language. Unknown directives
 * stay as they are.
 */
export function strftime(date: Date, format: string): string {
  return format.replaceAll(/%(-?)([A-Za-z%])/g, (directive, minus: string, letter: string) => {
    const text = directiveText(date, letter);
    if (text === undefined) return directive;
    return minus === '' ? text : text.replace(/^0+(?=\d)/, '');
  });
}

function directiveText(date: Date, letter: string): string | undefined {
  const two = (value: number) => String(value).padStart(2, '0');
  const month = invariant(months[date.getMonth()], 'a date has a month');
  const weekday = invariant(weekdays[date.getDay()], 'a date has a weekday');
  switch (letter) {
    case 'Y':
      return String(date.getFullYear());
    case 'y':
      return two(date.getFullYear() % 100);
    case 'm':
      return two(date.getMonth() + 1);
    case 'B':
      return month;
    case 'b':
    case 'h':
      return month.slice(0, 3);
    case 'd':
      return two(date.getDate());
    case 'e':
      return String(date.getDate()).padStart(2);
    case 'j':
      return String(dayOfYear(date)).padStart(3, '0');
    case 'A':
      return weekday;
    case 'a':
      return weekday.slice(0, 3);
    case 'H':
      return two(date.getHours());
    case 'I':
      return two(date.getHours() % 12 || 12);
    case 'p':
      return date.getHours() < 12 ? 'AM' : 'PM';
    case 'M':
      return two(date.getMinutes());
    case 'S':
      return two(date.getSeconds());
    case 'F':
      return strftime(date, '%Y-%m-%d');
    case 'T':
      return strftime(date, '%H:%M:%S');
    case '%':
      return '%';
    default:
      return undefined;
  }
}

function dayOfYear(date: Date): number {
  const days = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - Date.UTC(date.getFullYear(), 0, 0);
  return days / 86_400_000;
}
