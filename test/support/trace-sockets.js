// Imported into a process before all else, writes down whom it speaks to: `tcp <address> <port>` for each attempt to connect,
// `udp <address> <port>` for each datagram, `dns <name>` for each name looked up; to the file that SKEIN_TRACE names.
import { subscribe } from 'node:diagnostics_channel';
import dgram from 'node:dgram';
import dns from 'node:dns';
import { appendFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { isIP } from 'node:net';

const file = process.env['SKEIN_TRACE'] ?? '';
const write = (...words) => appendFileSync(file, `${words.join(' ')}\n`);

subscribe('net.client.socket', ({ socket }) => {
  socket.on('connectionAttempt', (address, port) => {
    // Control sockets are paths.
    if (isIP(address) !== 0) write('tcp', address, port);
  });
});

const send = dgram.Socket.prototype['send'];
dgram.Socket.prototype.send = function traced(...given) {
  const numbers = given.filter((value) => typeof value === 'number');
  write(
    'udp',
    given.find((value) => typeof value === 'string' && isIP(value) !== 0),
    numbers.at(-1),
  );
  return Reflect.apply(send, this, given);
};

const { lookup } = dns;
dns.lookup = function traced(name, ...rest) {
  if (isIP(name) === 0) write('dns', name);
  return lookup(name, ...rest);
};
syncBuiltinESMExports();
