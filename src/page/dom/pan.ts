/** Moves what is larger than its place: the pointer drags the ground, the shift key and an arrow push it. */

/** In CSS pixels, for each press of a key. */
const STEP = 80;

const PUSHES: Readonly<Record<string, readonly [x: number, y: number]>> = {
  ArrowLeft: [-STEP, 0],
  ArrowRight: [STEP, 0],
  ArrowUp: [0, -STEP],
  ArrowDown: [0, STEP],
};

/** @param stage scrolls what is in it */
export function startPanning(stage: HTMLElement): void {
  stage.addEventListener('pointerdown', (event) => {
    // Fingers scroll as everywhere; what can be chosen is not the ground, nor are the scroll bars.
    if (event.pointerType !== 'mouse' || event.button !== 0 || !isGround(event, stage)) return;
    stage.setPointerCapture(event.pointerId);
    stage.toggleAttribute('data-dragged', true);
  });
  stage.addEventListener('pointermove', ({ movementX, movementY }) => {
    if (stage.hasAttribute('data-dragged')) stage.scrollBy(-movementX, -movementY);
  });
  stage.addEventListener('lostpointercapture', () => stage.toggleAttribute('data-dragged', false));
  stage.addEventListener('keydown', (event) => {
    const push = PUSHES[event.key];
    if (!push || !event.shiftKey || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    stage.scrollBy(...push);
  });
}

function isGround({ target, offsetX, offsetY }: PointerEvent, stage: HTMLElement): boolean {
  if (!(target instanceof Element) || target.closest('button, table')) return false;
  return target !== stage || (offsetX < stage.clientWidth && offsetY < stage.clientHeight);
}
