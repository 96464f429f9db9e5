/* Inputs that a reader once did wrong, each as small as it could be made. None of them is ever taken out. */

export const FOUND: readonly { target: string; what: string; base64: string }[] = [
  {
    target: 'receipt-payload',
    what: 'a signed receipt that leaves a member out',
    base64:
      'eyJ2IjoxLCJzaXRlIjoib3V0cG9zdC03LmV4YW1wbGUiLCJwcm9maWxlIjoiIiwicmVzdWx0IjoiYXBwbGllZCIsIiI6bnVsbCwiZSI6bnVsbCwiYyI6IiIsInciOiIiLCJyZWNvcmRfaWQiOjAsImF0IjoiMjAyNi0xMS0yMVQwODowMDowMC4wMDBaIiwidGltZV90cnVzdCI6InRydXN0ZWQiLCJzIjpudWxsLCJjaGVja3BvaW50Ijoib3V0cG9zdC03LmV4YW1wbGUvbGVkZ2VyXG4xXG5IOU1kUFJBenJaNVFsWVEvY25kQ0xiVGtlNmRnQ3lEenFxY2ppY2lxSTNrPVxuXG7igJQgb3V0cG9zdC03LmV4YW1wbGUvbGVkZ2VyIFJNei9OamhPK2tHcFp4TW50MndzM1FvOGJEL1J5OU5FSmpEeWRzU0dJWENOM2l6bnhQYVVDUWM2Nk1wUXdFeUFKWFNvNXRNa3cyU0ZCZ2ZpYjVqYzN5T2Zod0E9XG4iLCJwcm9vZiI6ImMyc3Aub3JnL3Rsb2ctcHJvb2ZAdjFcbmV4dHJhIGV5SmhZM1J2Y2lJNmV5SnBaQ0k2SW1GblpXNTBPbTl3Y3kweElpd2ljbTlzWlNJNmJuVnNiSDBzSW1GMElqb2lNakF5TmkweE1TMHlNVlF3T0Rvd01Eb3dNQzR3TURCYUlpd2laR0YwWVNJNmV5SmxiblpwY205dWJXVnVkSE1pT250OUxDSm1iR2x3Y3lJNmJuVnNiQ3dpY21Wd2IzTnBkRzl5ZVNJNmV5SnliMjkwSWpveExDSnpibUZ3YzJodmRDSTZNU3dpZEdGeVoyVjBjeUk2TVN3aWRHbHRaWE4wWVcxd0lqb3hmU3dpYzJsMFpWOTBZWEpuWlhRaU9uc2ljMlZ5YVdGc0lqb3hmU3dpYzI5MWNtTmxJam9pYzNScFkyc2lMQ0oxY0dSaGRHVmZhV1FpT2lKMUlpd2lkMmh2SWpvaVlXeHBZMlVpZlN3aWNISmxkaUk2Ym5Wc2JDd2ljMlZ4SWpvd0xDSnphWFJsSWpvaWIzVjBjRzl6ZEMwM0xtVjRZVzF3YkdVaUxDSnpkSEpsWVcwaU9pSndiMnhwWTNraUxDSjBhVzFsWDNSeWRYTjBJam9pZEhKMWMzUmxaQ0lzSW5SNWNHVWlPaUp3YjJ4cFkza3VZWEJ3YkdsbFpDSXNJbllpT2pGOVxuaW5kZXggMFxuXG5vdXRwb3N0LTcuZXhhbXBsZS9sZWRnZXJcbjFcbkg5TWRQUkF6clo1UWxZUS9jbmRDTGJUa2U2ZGdDeUR6cXFjamljaXFJM2s9XG5cbuKAlCBvdXRwb3N0LTcuZXhhbXBsZS9sZWRnZXIgUk16L05qaE8ra0dwWnhNbnQyd3MzUW84YkQvUnk5TkVKakR5ZHNTR0lYQ04zaXpueFBhVUNRYzY2TXBRd0V5QUpYU281dE1rdzJTRkJnZmliNWpjM3lPZmh3QT1cbiJ9',
  },
  {
    target: 'receipt-entry',
    what: 'an entry that does not say what was applied',
    base64:
      'eyJ0eXBlIjoicG9saWN5LmFwcGxpZWQiLCJkYXRhIjp7fSwicmVjZWlwdCI6eyJ2IjoxLCJzaXRlIjoib3V0cG9zdC03LmV4YW1wbGUiLCJwcm9maWxlIjoiZGV2IiwicmVzdWx0IjoiYXBwbGllZCIsImNvZGUiOm51bGwsInJlYXNvbiI6bnVsbCwic291cmNlIjpudWxsLCJ3aG8iOm51bGwsInJlY29yZF9pZCI6MCwiYXQiOiIyMDI2LTExLTIxVDA4OjAwOjAwLjAwMFoiLCJ0aW1lX3RydXN0IjoidHJ1c3RlZCIsImluX2ZvcmNlIjpudWxsLCJmbGlwcyI6bnVsbH19',
  },
  { target: 'enrolment', what: 'data that is no object', base64: 'NA==' },
  {
    target: 'id-token-claims',
    what: 'an instant that no number holds',
    base64: Buffer.from('{"iat":1e800}').toString('base64'),
  },
];
