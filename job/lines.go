package job

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
)

// lineReader reads a file line by line, however long the lines are. A last line
// without its newline is one that was never finished and is not returned.
type lineReader struct {
	file *os.File
	buf  *bufio.Reader
	read int64 // bytes of whole lines read so far
}

func openLines(path string) (*lineReader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &lineReader{file: f, buf: bufio.NewReaderSize(f, 32<<10)}, nil
}

// next returns the next line without its newline, or io.EOF.
func (l *lineReader) next() ([]byte, error) {
	line, err := l.buf.ReadBytes('\n')
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, err
	}
	l.read += int64(len(line))
	return bytes.TrimSuffix(line, []byte("\n")), nil
}

// Close closes the file, which was only read.
func (l *lineReader) Close() { _ = l.file.Close() }

// lastLine returns the last whole line of the file if it fits into 64 KiB, else
// nothing.
func lastLine(f *os.File) ([]byte, error) {
	const most = 64 << 10
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	from := max(0, size-most)
	text := make([]byte, size-from)
	if _, err := f.ReadAt(text, from); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	text, whole := bytes.CutSuffix(text, []byte("\n"))
	at := bytes.LastIndexByte(text, '\n')
	if !whole || at < 0 {
		return nil, nil
	}
	return text[at+1:], nil
}
