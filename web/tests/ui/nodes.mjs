export const nodeTests = [];
