// A client inside a sandbox: asks 127.0.0.11 port 53 and prints what it got as one line of JSON.
// Arguments: udp or tcp, a name, a type, and the size that EDNS offers (0: no EDNS).
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import packet from 'dns-packet';

const [transport, name, type, size] = process.argv.slice(2);
const opt = { type: 'OPT', name: '.', udpPayloadSize: Number(size), options: [] };
const question = {
  type: 'query',
  id: 4711,
  flags: packet.RECURSION_DESIRED,
  questions: [{ name, type }],
  additionals: size === '0' ? [] : [opt],
};
const timer = setTimeout(() => finish({ silent: true }), 8000);

if (transport === 'tcp') {
  const stream = connect(53, '127.0.0.11', () => stream.write(packet.streamEncode(question)));
  let bytes = Buffer.alloc(0);
  stream.on('data', (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0)) finish(packet.streamDecode(bytes));
  });
  stream.on('error', (error) => finish({ error: error.code }));
} else {
  const socket = createSocket('udp4');
  socket.on('message', (message, from) =>
    finish({ ...packet.decode(message), from: `${from.address} ${from.port}` }),
  );
  socket.send(packet.encode(question), 53, '127.0.0.11');
}

function finish(reply) {
  clearTimeout(timer);
  console.log(JSON.stringify(reply));
  process.exit();
}
