// Numbers and times as people read them.

const grouped = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 });
export const precise = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 1 });
export const NONE = '–';

export const count = (value) => (value == null ? NONE : grouped.format(value));
export const rate = (value) => (value < 10 ? precise : grouped).format(value);
export const plural = (value, one, many) => `${count(value)} ${value === 1 ? one : many}`;

export function size(bytes) {
  if (bytes == null) return NONE;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let power = 0;
  while (bytes >= 1024 && power < units.length - 1) {
    bytes /= 1024;
    power += 1;
  }
  return `${(bytes < 100 ? precise : grouped).format(bytes)} ${units[power]}`;
}

export function span(seconds) {
  if (seconds == null) return NONE;
  if (seconds < 10) return `${precise.format(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

export function ago(seconds) {
  if (seconds == null) return 'not yet';
  return seconds < 1 ? 'just now' : `${span(seconds)} ago`;
}

export const clock = (rfc3339) => rfc3339.slice(11, 19);
export const hour = (rfc3339) => `${rfc3339.slice(0, 10)} ${rfc3339.slice(11, 16)}`;
