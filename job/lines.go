package job

import (
	"bufio"
	"bytes"
	"io"
	"os"
)

// lineReader reads a file line by line, however long the lines are.
type lineReader struct {
	file   *os.File
	buf    *bufio.Reader
	offset int64 // behind the last whole line that was read
}

// openLines reads the file at path from offset, where a line begins.
func openLines(path string, offset int64) (*lineReader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		_ = f.Close() // it was only read
		return nil, err
	}
	return &lineReader{file: f, buf: bufio.NewReaderSize(f, 32<<10), offset: offset}, nil
}

// next returns the next line without its newline, or io.EOF. A last line
// without a newline is one that was never finished: it is not returned, and
// after io.EOF the reader must not be used.
func (l *lineReader) next() ([]byte, error) {
	line, err := l.buf.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	l.offset += int64(len(line))
	return bytes.TrimSuffix(line, []byte("\n")), nil
}

// Close closes the file, which was only read.
func (l *lineReader) Close() { _ = l.file.Close() }
