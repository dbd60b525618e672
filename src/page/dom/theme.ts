/** Light or dark: as the system has it, or as was chosen here. */
import { byId, setAttribute } from './element.ts';

const KEPT = 'dnet-theme';

export function startTheme(): void {
  const select = byId('theme', HTMLSelectElement);
  const kept = localStorage.getItem(KEPT);
  if (kept === 'light' || kept === 'dark') select.value = kept;
  const show = (): void =>
    setAttribute(document.documentElement, 'data-theme', select.value === 'auto' ? undefined : select.value);
  select.addEventListener('change', () => {
    localStorage.setItem(KEPT, select.value);
    show();
  });
  show();
}
