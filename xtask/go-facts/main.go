// Prints, as JSON, what the OpenAPI definitions do not say about the upstream Go types: which fields are pointers,
// which are left out of JSON when zero, the protobuf path of each field, and the Go type names that decoding errors
// mention. `cargo xtask catalog` merges it into the field catalogue.
package main

import (
	"encoding/json"
	"os"
	"reflect"
	"strconv"
	"strings"

	admission "k8s.io/api/admission/v1"
	discoveryv2 "k8s.io/api/apidiscovery/v2"
	discoveryv2beta1 "k8s.io/api/apidiscovery/v2beta1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// Field is one JSON field, those of inlined structs included.
type Field struct {
	Name      string `json:"name"`
	Proto     []int  `json:"proto,omitempty"`
	Pointer   bool   `json:"pointer,omitempty"`
	OmitEmpty bool   `json:"omitEmpty,omitempty"`
	OmitZero  bool   `json:"omitZero,omitempty"`
	GoType    string `json:"goType"`
	// Inline has the Go names of the embedded structs that the field is in.
	Inline string `json:"inline,omitempty"`
	Type   Type   `json:"type"`
}

// Type is a JSON shape: a scalar's name, or one of the others.
type Type struct {
	Scalar string `json:"scalar,omitempty"`
	Ref    string `json:"ref,omitempty"`
	Items  *Type  `json:"items,omitempty"`
	Values *Type  `json:"values,omitempty"`
	// Wrapped lists are messages of their own in protobuf, with the items in field 1.
	Wrapped bool `json:"wrapped,omitempty"`
}

// Struct is one type.
type Struct struct {
	Go     string   `json:"go"`
	GVK    []string `json:"gvk,omitempty"`
	Fields []Field  `json:"fields"`
}

type walker map[string]*Struct

func main() {
	check(apiextensions.AddToScheme(scheme.Scheme))
	check(apiregistration.AddToScheme(scheme.Scheme))
	check(admission.AddToScheme(scheme.Scheme))
	check(discoveryv2.AddToScheme(scheme.Scheme))
	check(discoveryv2beta1.AddToScheme(scheme.Scheme))
	check(meta.AddMetaToScheme(scheme.Scheme))
	w := walker{}
	for gvk, t := range scheme.Scheme.AllKnownTypes() {
		if gvk.Version == runtime.APIVersionInternal {
			continue
		}
		w.visit(t)
		if s := w[definition(t)]; s != nil {
			s.GVK = append(s.GVK, gvk.Group+"/"+gvk.Version+"/"+gvk.Kind)
		}
	}
	for _, extra := range []any{
		version.Info{}, meta.APIGroup{}, meta.APIGroupList{}, meta.APIResourceList{}, meta.APIVersions{},
		meta.Condition{}, meta.FieldSelectorRequirement{}, meta.GroupResource{}, meta.WatchEvent{},
	} {
		w.visit(reflect.TypeOf(extra))
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	check(encoder.Encode(w))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// definition names a type as the OpenAPI definitions do.
func definition(t reflect.Type) string {
	parts := strings.Split(t.PkgPath(), "/")
	host := strings.Split(parts[0], ".")
	for i, j := 0, len(host)-1; i < j; i, j = i+1, j-1 {
		host[i], host[j] = host[j], host[i]
	}
	return strings.Join(append(host, parts[1:]...), ".") + "." + t.Name()
}

var marshaler = reflect.TypeOf((*json.Unmarshaler)(nil)).Elem()

func (w walker) visit(t reflect.Type) {
	name := definition(t)
	if w[name] != nil || t.Kind() != reflect.Struct {
		return
	}
	s := &Struct{Go: t.String(), Fields: []Field{}}
	w[name] = s
	if !reflect.PointerTo(t).Implements(marshaler) {
		w.fields(t, nil, "", s)
	}
}

func (w walker) fields(t reflect.Type, path []int, inline string, s *Struct) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("json")
		name, options, _ := strings.Cut(tag, ",")
		number := protoNumber(f)
		here := append(append([]int{}, path...), number...)
		if f.Anonymous && name == "" {
			if f.Type.Name() == "TypeMeta" {
				s.Fields = append(s.Fields,
					Field{Name: "kind", OmitEmpty: true, GoType: "string", Type: Type{Scalar: "string"}},
					Field{Name: "apiVersion", OmitEmpty: true, GoType: "string", Type: Type{Scalar: "string"}})
				continue
			}
			w.fields(f.Type, here, strings.TrimPrefix(inline+"."+f.Name, "."), s)
			continue
		}
		if !tagged || name == "-" || !f.IsExported() {
			continue
		}
		pointer := f.Type.Kind() == reflect.Pointer
		base := f.Type
		if pointer {
			base = base.Elem()
		}
		if number == nil {
			here = nil
		}
		shape := w.shape(base)
		if strings.Contains(f.Tag.Get("protobuf"), ",rep,") {
			shape.Wrapped = false
		}
		s.Fields = append(s.Fields, Field{
			Name: name, Proto: here, Pointer: pointer, GoType: base.String(), Type: shape,
			Inline:    inline,
			OmitEmpty: strings.Contains(options, "omitempty"), OmitZero: strings.Contains(options, "omitzero"),
		})
	}
}

func protoNumber(f reflect.StructField) []int {
	parts := strings.Split(f.Tag.Get("protobuf"), ",")
	if len(parts) < 2 {
		return nil
	}
	n, err := strconv.Atoi(parts[1])
	check(err)
	return []int{n}
}

func (w walker) shape(t reflect.Type) Type {
	switch t.Kind() {
	case reflect.Pointer:
		return w.shape(t.Elem())
	case reflect.String:
		return Type{Scalar: "string"}
	case reflect.Bool:
		return Type{Scalar: "boolean"}
	case reflect.Int32, reflect.Int64, reflect.Int, reflect.Uint32, reflect.Uint64, reflect.Uint8, reflect.Uint16, reflect.Int8, reflect.Int16:
		return Type{Scalar: t.Kind().String()}
	case reflect.Float64, reflect.Float32:
		return Type{Scalar: "double"}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return Type{Scalar: "bytes"}
		}
		items := w.shape(t.Elem())
		return Type{Items: &items, Wrapped: t.Name() != ""}
	case reflect.Map:
		values := w.shape(t.Elem())
		return Type{Values: &values}
	case reflect.Struct:
		w.visit(t)
		return Type{Ref: definition(t)}
	default:
		return Type{Scalar: "any"}
	}
}
