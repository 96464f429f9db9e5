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
    // A tool that takes its time: long enough for its caller to die meanwhile.
    if (request.url?.endsWith('/siren')) setTimeout(() => response.end('rang\n'), 1_000);
    else response.end('joined\n');
  });
}).listen(socket);
process.on('SIGTERM', () => process.exit(0));
