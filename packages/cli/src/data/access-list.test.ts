import { expect, test } from 'vitest';

import { closingArguments, othersIn } from './access-list.ts';
import { isInProfile, openToOthers, parseAccess } from './windows-access.ts';

const ada = 'S-1-5-21-1004336348-1177238915-682003330-1001';
const bob = 'S-1-5-21-1004336348-1177238915-682003330-1002';
const byAda = `O:${ada}G:S-1-5-21-1004336348-1177238915-682003330-513`;

test.each<[string, string, readonly string[]]>([
  ['in a profile', `${byAda}D:(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)(A;OICIID;FA;;;${ada})`, []],
  ['after icacls has closed it', `${byAda}D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;${ada})`, []],
  ['of an administrator', `O:BAG:DUD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;${ada})(A;OICIIO;FA;;;CO)`, []],
  ['that others may pass through', `${byAda}D:P(A;OICI;FA;;;${ada})(A;;0x1000a0;;;WD)(A;;FX;;;BU)`, []],
  ['whose list is empty', `${byAda}D:P`, []],
  ['with rules of an audit', `${byAda}D:P(A;OICI;FA;;;${ada})S:AI(AU;OICISAFA;FA;;;WD)`, []],
  [
    'made on a second drive',
    `${byAda}D:AI(A;OICIID;FA;;;BA)(A;OICIID;FA;;;SY)(A;OICIID;0x1200a9;;;BU)(A;ID;0x1301bf;;;AU)(A;OICIIOID;SDGXGWGR;;;AU)`,
    ['Users', 'Authenticated Users'],
  ],
  ['shared with one person', `${byAda}D:PAI(A;OICI;FA;;;${ada})(A;OICI;0x1200a9;;;${bob})`, [bob]],
  ['that only hands rights down', `${byAda}D:PAI(A;OICI;FA;;;${ada})(A;OICIIO;GR;;;WD)`, ['Everyone']],
  ['that others may only write to', `${byAda}D:PAI(A;OICI;FA;;;${ada})(A;;LC;;;BU)`, ['Users']],
  ['with a denial that may not hold for all', `${byAda}D:(D;OICI;FA;;;BG)(A;OICI;FA;;;WD)`, ['Everyone']],
  ['that somebody else owns', `O:${bob}G:DUD:P(A;OICI;FA;;;${ada})`, [bob]],
  ['with a right that nobody knows', `${byAda}D:P(A;OICI;QQ;;;BU)`, ['Users']],
  ['on a drive without lists', 'O:WDG:WDD:NO_ACCESS_CONTROL', ['Everyone']],
  ['without a list', byAda, ['Everyone']],
  ['with a condition', `${byAda}D:P(XA;;FR;;;BU;(@User.Title=="VP"))`, ['Everyone']],
])('knows who else gets into a directory %s', (_, descriptor, names) => {
  expect(othersIn(descriptor, ada).names).toEqual(names);
});

test('names the command that closes a directory, in no language', () => {
  const others = othersIn(`${byAda}D:(A;OICI;FA;;;${ada})(A;OICI;FR;;;BU)`, ada);
  const { code, message } = openToOthers('D:\\AI models', ada, others);
  expect(code).toBe('disk-failed');
  expect(message).toContain(
    `icacls "D:\\AI models" /inheritance:r /grant:r "*${ada}:(OI)(CI)F" "*S-1-5-18:(OI)(CI)F" /remove:g "*S-1-5-32-545"`,
  );
  expect(closingArguments(ada, { ids: [] })).not.toContain('/remove:g');
  const bare = openToOthers('E:\\skein', ada, othersIn('O:WDG:WDD:NO_ACCESS_CONTROL', ada));
  expect(bare.message).toMatch(/no access lists; .*--data/);
});

test('reads what Windows says, whatever language that is in', () => {
  const said = `${byAda}D:P(A;OICI;FA;;;${ada})\r\n"b\u00FCro\\ada m\u00FCller","${ada}"\r\n`;
  expect(parseAccess(said)).toEqual({ user: ada, others: { hasList: true, names: [], ids: [] } });
  expect(parseAccess('Get-Acl : Der Pfad kann nicht gefunden werden.\r\n')).toBeUndefined();
  expect(parseAccess(`${byAda}D:P\r\nwhoami: Zugriff verweigert\r\n`)).toBeUndefined();
});

test.each([
  ['C:\\Users\\ada\\AppData\\Local\\skein', true],
  ['c:\\users\\ADA\\skein', true],
  ['C:\\Users\\ada', true],
  ['C:\\Users\\ada2\\skein', false],
  ['C:\\Users\\ada\\..\\bob\\skein', false],
  ['D:\\Users\\ada\\skein', false],
  ['\\\\nas\\ada\\skein', false],
])('knows whether %s lies in the profile', (directory, expected) => {
  expect(isInProfile(directory, 'C:\\Users\\ada')).toBe(expected);
});
