package tree

// linked notes that a file at the target got one more name. Its change time moved, and will move again when a name goes,
// which is no sign of another's hand.
func (s *syncer) linked(path string, t *stat) {
	if !s.p.state.saved() || t.nlink > 1 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.links == nil {
		s.links = map[string][]string{}
	}
	up, name := splitPath(path)
	s.links[up] = append(s.links[up], name)
}

// recordLinked writes down which files have several names by now.
func (s *syncer) recordLinked() error {
	for _, path := range sortedKeys(s.links) {
		key := keyOf(path)
		rec := s.p.state.dir(key)
		if rec == nil {
			continue // the one name of a pair
		}
		for seg := range rec.segments {
			b, err := s.p.state.openBook(key, rec, seg, rec.segments)
			if err != nil {
				return err
			}
			for _, name := range s.links[path] {
				if e := b.get(name); e != nil && e.dst.nlink < 2 {
					e.dst.nlink = 2
					b.put(e, false)
				}
			}
			b.keep(s.p.state, &dirRecord{})
		}
	}
	return nil
}
