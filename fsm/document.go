package fsm

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
)

// Document is one object as a person writes it.
type Document struct {
	Kind string // one of DocumentKinds
	Name string // a model's and a host setting's is group/name
	// Spec is a JSON object of settable fields. A field that is absent keeps
	// its value, null clears it, and a list replaces the whole list.
	Spec []byte
}

// Applied is what became of one document.
type Applied struct {
	Kind, Name string
	Action     string   // ActionCreated, ActionChanged or ActionUnchanged
	Changes    []string // "field: old -> new"; no secrets
}

// What became of a document.
const (
	ActionCreated   = "created"
	ActionChanged   = "changed"
	ActionUnchanged = "unchanged"
)

// maxDocuments bounds one call.
const maxDocuments = 50000

// applying is one document on its way.
type applying struct {
	kind    *docKind
	name    string // as the document writes it
	key     string
	old     proto.Message // nil: the object is new
	row     proto.Message // as the document wants it
	applied Applied
}

func (a *applying) object() string { return a.kind.name + " " + a.key }

// ApplyDocuments creates or changes objects as documents say: all of them, or
// none when there is an error. The order of documents doesn't matter: one may
// refer to another of the same call. An error names the document, the field and
// what to do. KindInvalid: malformed, unknown or not settable field, broken
// reference. KindConflict: the object's state forbids it.
func ApplyDocuments(tx *Tx, docs []Document) ([]Applied, error) {
	if len(docs) > maxDocuments {
		return nil, schema.Errorf(schema.KindTooLarge, "apply", "%d documents, the limit is %d", len(docs), maxDocuments).
			WithHint("apply them in several calls")
	}
	work := make([]*applying, 0, len(docs))
	type id struct{ kind, key string }
	seen := make(map[id]bool, len(docs))
	for _, d := range docs {
		a, err := readDocument(tx, d)
		if err != nil {
			return nil, documentError(d, err)
		}
		if seen[id{a.kind.name, a.key}] {
			return nil, schema.Errorf(schema.KindInvalid, a.object(), "two documents are about it").WithHint("nothing was changed; keep one of them")
		}
		seen[id{a.kind.name, a.key}] = true
		work = append(work, a)
	}
	if err := putDocuments(tx, work); err != nil {
		return nil, err
	}
	out := make([]Applied, len(work))
	for i, a := range work {
		out[i] = a.applied
	}
	return out, nil
}

// putDocuments writes the rows and checks them against the state that all of
// them make together. Machines come last, since their transitions look at groups,
// models and host settings.
func putDocuments(tx *Tx, work []*applying) error {
	// Rows that change leave the database first, so that two of them can
	// exchange a value of a unique index, whatever their order.
	for _, a := range work {
		if a.old == nil || proto.Equal(a.old, a.row) {
			continue
		}
		if err := a.kind.rows.delete(tx, a.key); err != nil {
			return err
		}
	}
	var placed []*applying
	for _, a := range work {
		if a.kind.placed {
			placed = append(placed, a)
			continue
		}
		if err := a.kind.rows.put(tx, a.row); err != nil {
			return applyError(a, err)
		}
	}
	for _, a := range work {
		if a.kind.settle == nil {
			continue
		}
		row, ok := a.kind.rows.get(tx, a.key)
		if !ok {
			continue
		}
		if err := a.kind.settle(tx, row); err != nil {
			return applyError(a, err)
		}
	}
	if err := placeMachines(tx, placed); err != nil {
		return err
	}
	for _, a := range work {
		row, ok := a.kind.rows.get(tx, a.key)
		if !ok {
			return schema.Errorf(schema.KindInternal, a.object(), "it was written and isn't there")
		}
		if err := a.checkCategory(tx); err != nil {
			return applyError(a, err)
		}
		if a.kind.check != nil {
			if err := a.kind.check(tx, row); err != nil {
				return applyError(a, err)
			}
		}
		a.report(row)
	}
	return nil
}

// checkCategory checks the category in a name such as shop/web/web01.
func (a *applying) checkCategory(tx *Tx) error {
	if a.kind == groupKind || namedRight(tx, a.kind, a.name) {
		return nil // groupKind.normal has looked at it
	}
	return specError("its group isn't in the category that its name says").WithHint("name it %s", a.key)
}

// report fills in what became of the document.
func (a *applying) report(row proto.Message) {
	a.applied = Applied{Kind: a.kind.name, Name: a.key, Action: ActionChanged}
	old := a.old
	if old == nil {
		a.applied.Action = ActionCreated
		old = row.ProtoReflect().Type().New().Interface()
	}
	a.applied.Changes = diffRows(a.kind, old.ProtoReflect(), row.ProtoReflect())
	if a.old != nil && len(a.applied.Changes) == 0 && proto.Equal(a.old, row) {
		a.applied.Action = ActionUnchanged
	}
}

// readDocument decodes a document onto a copy of the row that it is about.
func readDocument(tx *Tx, d Document) (*applying, error) {
	k, err := kindOf(d.Kind)
	if err != nil {
		return nil, err
	}
	key, err := k.key(tx, d.Name)
	if err != nil {
		return nil, err
	}
	a := &applying{kind: k, name: d.Name, key: key}
	if old, ok := k.rows.get(tx, key); ok {
		a.old, a.row = old, proto.Clone(old)
	} else {
		a.row = k.blank(key)
	}
	spec, err := parseSpec(d.Spec)
	if err != nil {
		return nil, err
	}
	dec := &specDecoder{kind: k, object: k.name + " " + key, sealer: tx.sealer}
	if err := dec.message(a.row.ProtoReflect(), spec, ""); err != nil {
		return nil, err
	}
	if k.normal != nil {
		if err := k.normal(tx, a, spec); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// documentError makes sure that an error names the document it is about.
func documentError(d Document, err error) error {
	return nameError(d.Kind+" "+d.Name, err)
}

func applyError(a *applying, err error) error { return nameError(a.object(), err) }

// nameError puts the document before an error's message when the error is
// about another object or none, and says that nothing was changed.
func nameError(object string, err error) error {
	e := &schema.Error{Kind: schema.KindOf(err), Object: object, Msg: err.Error(), Err: nil}
	if se, ok := err.(*schema.Error); ok {
		e.Msg, e.Hint, e.Err = se.Msg, se.Hint, se.Err
		if se.Object != "" && se.Object != object && !sameObject(se.Object, object) {
			e.Msg = se.Object + ": " + se.Msg
		}
	}
	if e.Hint != "" {
		e.Hint += "; "
	}
	e.Hint += "nothing was changed"
	return e
}

// sameObject tells whether two spellings, such as "group web" and "Group web",
// mean one object.
func sameObject(a, b string) bool {
	return normalObject(a) == normalObject(b)
}

// GetObject finds an object. Row has no secrets; its password_set says whether
// one is stored. KindNotFound, and KindInvalid for an unknown kind.
func GetObject(r Reader, kind, name string) (Object, error) {
	k, err := kindOf(kind)
	if err != nil {
		return Object{}, err
	}
	key, err := k.key(r, name)
	if err != nil {
		return Object{}, err
	}
	row, ok := k.rows.get(r, key)
	if !ok || !namedRight(r, k, name) {
		return Object{}, notFound(k, name)
	}
	return makeObject(r, k, key, row)
}

func notFound(k *docKind, name string) error {
	return schema.Errorf(k.missing, k.name+" "+name, "there is no such object").WithHint("get %s lists them", normalObject(k.name))
}

// Object is one object of the configuration database.
type Object struct {
	Kind, Name string
	Spec       []byte        // JSON of the settable fields that are set: what ApplyDocuments takes
	Row        proto.Message // full state without secrets
}

func makeObject(r Reader, k *docKind, key string, row proto.Message) (Object, error) {
	spec, err := encodeSpec(k, row)
	if err != nil {
		return Object{}, schema.Errorf(schema.KindInternal, k.name+" "+key, "%v", err)
	}
	row = withoutSecrets(row)
	if s, ok := row.(*schema.Subsystem); ok {
		s.Events = historyOf(r, s.Name) // a copy, see withoutSecrets
	}
	return Object{Kind: k.name, Name: key, Spec: spec, Row: row}, nil
}

// ListObjects lists the objects of a kind in the order of their keys. With a
// path of category, group or model, only those below it: kinds that belong to no
// group are refused then (KindInvalid). KindGroupNotFound for an unknown path.
func ListObjects(r Reader, kind, groupPath string) ([]Object, error) {
	k, err := kindOf(kind)
	if err != nil {
		return nil, err
	}
	in := func(proto.Message) bool { return true }
	if groupPath != "" {
		if k.within == nil {
			return nil, schema.Errorf(schema.KindInvalid, k.name, "objects of this kind belong to no group").WithHint("leave the group out")
		}
		ref, err := ResolveGroup(r, groupPath)
		if err != nil {
			return nil, err
		}
		names := map[string]bool{}
		for _, g := range GroupsBelow(r, ref) {
			names[g.Name] = true
		}
		in = func(row proto.Message) bool { return k.within(row, ref, names) }
	}
	var out []Object
	for row := range k.rows.all(r) {
		if !in(row) {
			continue
		}
		o, err := makeObject(r, k, k.rows.keyOf(row), row)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// ListMachines lists machines without their secrets, all or those that run or
// wait in the pool below a path, by name. It is ListObjects without the spec,
// for the many.
func ListMachines(r Reader, groupPath string) ([]*schema.Machine, error) {
	var out []*schema.Machine
	if groupPath == "" {
		for m := range Machines.All(r) {
			out = append(out, withoutSecrets(m).(*schema.Machine))
		}
		return out, nil
	}
	running, pool, err := GroupMachines(r, groupPath)
	if err != nil {
		return nil, err
	}
	for _, m := range slices.Concat(running, pool) {
		out = append(out, withoutSecrets(m).(*schema.Machine))
	}
	slices.SortFunc(out, func(a, b *schema.Machine) int { return compareStrings(a.Name, b.Name) })
	return out, nil
}
