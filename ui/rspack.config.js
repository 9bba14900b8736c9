// Modules numbered in the order of the graph. JupyterLab's default hashes their names to three digits, and one of the names is
// this folder's whole path: the bundle would differ by where it was built, and all of it where two hashes are the same.
module.exports = { optimization: { moduleIds: 'natural' } };
