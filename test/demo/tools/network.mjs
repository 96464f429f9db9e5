// network.mjs SOCKET LOG: a service with the right to change interfaces; notes what it was given and answers in a line.
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';

const [socket = '', log = ''] = process.argv.slice(2);
appendFileSync(log, '');
const sounding = [];
createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (chunk) => {
    body += chunk;
  });
  request.on('end', () => {
    appendFileSync(log, `${request.method} ${request.url} ${body}\n`);
    // The siren sounds until it is silenced: whoever kills somebody meanwhile need not be quick.
    if (request.url?.endsWith('/siren')) return void sounding.push(response);
    if (request.url === '/silence') for (const siren of sounding.splice(0)) siren.end('rang\n');
    response.end('joined\n');
  });
}).listen(socket);
process.on('SIGTERM', () => process.exit(0));
