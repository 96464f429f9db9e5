// network.mjs SOCKET LOG: a service with the right to change interfaces; notes what it was given and answers in a line.
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';

const [socket = '', log = ''] = process.argv.slice(2);
appendFileSync(log, '');
createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (chunk) => {
    body += chunk;
  });
  request.on('end', () => {
    appendFileSync(log, `${request.method} ${request.url} ${body}\n`);
    // The siren sounds for as long as its caller lives: whoever has it killed meanwhile need not be quick.
    if (!request.url?.endsWith('/siren')) response.end('joined\n');
  });
}).listen(socket);
process.on('SIGTERM', () => process.exit(0));
