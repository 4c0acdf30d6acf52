package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"strings"
)

//go:embed handout.html
var handoutFile embed.FS

// handout is the report as a page: it needs nothing but itself, and everything in it is escaped by its place.
var handout = template.Must(template.New("handout.html").Funcs(template.FuncMap{
	"size": size, "shortly": shortly, "count": func(n int) string { return counted(n, "", "") }, "visible": visible, "grade": finding.grade,
	"severity": func(f finding) string {
		if s, ok := map[string]string{"blocks": "Blocks", "loss": "Mail at risk", "fail": "Fails", "redownload": "Downloads again", "degraded": "Works less well", "warn": "Warning", "info": "Note"}[f.Severity]; ok {
			return s
		}
		return f.Severity
	},
	"percent": func(a, b float64) int { return int(100 * a / max(b, 1e-9)) },
}).ParseFS(handoutFile, "handout.html"))

// handOut writes the report of a run, which ended with err, where one was asked for. It returns err.
func (m *migration) handOut(err error) error {
	if m.reportFile == "" {
		return err
	}
	s, err1 := m.summarise(err)
	var data []byte
	if err1 == nil {
		data, err1 = s.render(strings.HasSuffix(m.reportFile, ".json") || m.c.JSON && !strings.HasSuffix(m.reportFile, ".html"))
	}
	if err1 == nil {
		err1 = replace(m.reportFile, data)
	}
	if err1 != nil {
		return errors.Join(err, fmt.Errorf("the report: %w", err1))
	}
	return err
}

// render writes the page, or JSON.
func (s *summary) render(asJSON bool) ([]byte, error) {
	var b bytes.Buffer
	if asJSON {
		e := json.NewEncoder(&b)
		e.SetIndent("", " ")
		err := e.Encode(s)
		return b.Bytes(), err
	}
	err := handout.Execute(&b, s)
	return b.Bytes(), err
}

// replace writes a file that only the caller may read, as a whole or not at all.
func replace(name string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".report-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
