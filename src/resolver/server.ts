import type { Duplex } from 'node:stream';
import type { UdpSocket } from '../osl/osl.ts';
import type { Transport } from './exchange.ts';
import { Frames, frame } from './frames.ts';

/** Answers a message: at once, later, or (`undefined`) not at all. Never throws or rejects. */
export type Handler = (message: Buffer, transport: Transport) => Buffer | Promise<Buffer> | undefined;

/** Over this many unanswered questions on one connection no more are read from it. */
const MOST_UNANSWERED = 64;

/** Answers what comes in on a socket, until `isClosed`. */
export function serveUdp(socket: UdpSocket, handle: Handler, isClosed: () => boolean): void {
  socket.onMessage((message, from) => {
    const reply = handle(message, 'udp');
    if (reply instanceof Promise)
      void reply.then((later) => {
        if (!isClosed()) socket.send(later, from);
      });
    else if (reply !== undefined) socket.send(reply, from);
  });
}

/** Answers what comes in on a connection, each question as soon as its answer is known (RFC 7766 6.2.1). */
export function serveTcp(stream: Duplex, handle: Handler, idleMs: number): void {
  const frames = new Frames();
  const idle = setTimeout(() => stream.destroy(), idleMs).unref();
  let unanswered = 0;
  let isFull = false;
  let isOver = false;
  const flow = () => {
    const shouldWait = isFull || unanswered >= MOST_UNANSWERED;
    if (shouldWait && !stream.isPaused()) stream.pause();
    if (!shouldWait && stream.isPaused()) stream.resume();
  };
  const answer = (reply: Buffer) => {
    if (!stream.writable) return;
    idle.refresh();
    isFull = !stream.write(frame(reply));
  };
  const endWhenAnswered = () => {
    if (isOver && unanswered === 0) stream.end();
  };
  stream.on('drain', () => {
    isFull = false;
    flow();
  });
  stream.on('data', (chunk: Buffer) => {
    idle.refresh();
    for (const message of frames.push(chunk)) {
      const reply = handle(message, 'tcp');
      if (reply instanceof Promise) {
        unanswered++;
        void reply.then((later) => {
          unanswered--;
          answer(later);
          flow();
          endWhenAnswered();
        });
      } else if (reply !== undefined) answer(reply);
    }
    flow();
  });
  stream.on('end', () => {
    isOver = true;
    endWhenAnswered();
  });
  // A client that goes away in the middle of something is no failure of ours.
  stream.on('error', () => stream.destroy());
  stream.on('close', () => clearTimeout(idle));
}
