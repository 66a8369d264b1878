// Compares this project's work on custom resources with upstream's own. Reads cases as JSON lines from standard input,
// prints every difference, and fails if there is one. The ignored tests of crates/apiextensions run it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"sort"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
)

// Case is one comparison.
type Case struct {
	Schema json.RawMessage `json:"schema"`
	New    json.RawMessage `json:"new"`
	Old    json.RawMessage `json:"old"`
	// Columns are additionalPrinterColumns of the new object.
	Columns []v1.CustomResourceColumnDefinition `json:"columns"`
	// Formats and Patterns are names and expressions, each with a text.
	Formats  [][2]string `json:"formats"`
	Patterns [][2]string `json:"patterns"`
	Want     Outcome     `json:"want"`
}

// Outcome is what is compared. Lists are sorted.
type Outcome struct {
	Unknown   []string    `json:"unknown"`
	Pruned    interface{} `json:"pruned"`
	NoNulls   interface{} `json:"noNulls"`
	Defaulted interface{} `json:"defaulted"`
	Errors    []string    `json:"errors"`
	Update    []string    `json:"update"`
	Lists     []string    `json:"lists"`
	Embedded  []string    `json:"embedded"`
	// V2 and V3 are the published definition.
	V2    interface{}   `json:"v2"`
	V3    interface{}   `json:"v3"`
	Cells []interface{} `json:"cells"`
	Fits  []bool        `json:"fits"`
	// Matches tells which patterns match.
	Matches []bool `json:"matches"`
}

func main() {
	decoder := json.NewDecoder(bufio.NewReader(os.Stdin))
	count, differs := 0, 0
	for {
		var c Case
		err := decoder.Decode(&c)
		if err == io.EOF {
			break
		}
		check(err)
		count++
		got := normal(work(&c))
		if want := normal(c.Want); !reflect.DeepEqual(got, want) && differs < 20 {
			differs++
			fmt.Printf("schema %s\nnew %s\nold %s\nformats %q patterns %q\n", c.Schema, c.New, c.Old, c.Formats, c.Patterns)
			print(got, want)
		}
	}
	if differs > 0 || count == 0 {
		os.Exit(1)
	}
}

func print(got, want map[string]interface{}) {
	for name := range got {
		theirs, listed := got[name].([]interface{})
		ours, _ := want[name].([]interface{})
		switch {
		case reflect.DeepEqual(got[name], want[name]):
		case listed:
			fmt.Printf("  %s\n    upstream only: %v\n    ours only:     %v\n", name, without(theirs, ours), without(ours, theirs))
		default:
			fmt.Printf("  %s\n    upstream: %v\n    ours:     %v\n", name, got[name], want[name])
		}
	}
}

func without(all, taken []interface{}) []interface{} {
	var out []interface{}
	for _, one := range all {
		if !slices.ContainsFunc(taken, func(other interface{}) bool { return reflect.DeepEqual(one, other) }) {
			out = append(out, one)
		}
	}
	return out
}

func normal(outcome Outcome) map[string]interface{} {
	for _, list := range [][]string{outcome.Unknown, outcome.Errors, outcome.Update, outcome.Lists, outcome.Embedded} {
		sort.Strings(list)
	}
	text, err := json.Marshal(outcome)
	check(err)
	out := map[string]interface{}{}
	check(json.Unmarshal(text, &out))
	for name, value := range out {
		if value == nil {
			out[name] = []interface{}{}
		}
	}
	return out
}

func work(c *Case) Outcome {
	external := &v1.JSONSchemaProps{}
	check(json.Unmarshal(c.Schema, external))
	internal := &apiextensions.JSONSchemaProps{}
	check(v1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(external, internal, nil))
	structural, err := schema.NewStructural(internal)
	check(err)
	check(defaulting.PruneDefaults(structural))
	validator, _, err := validation.NewSchemaValidator(internal)
	check(err)

	var out Outcome
	pruned := tree(c.New)
	out.Unknown = pruning.PruneWithOptions(pruned, structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	out.Pruned = pruned
	noNulls := tree(c.New)
	defaulting.PruneNonNullableNullsWithoutDefaults(noNulls, structural)
	out.NoNulls = noNulls
	defaulted := tree(c.New)
	defaulting.Default(defaulted, structural)
	out.Defaulted = defaulted
	object, old := tree(c.New), tree(c.Old)
	out.Errors = texts(validation.ValidateCustomResource(nil, object, validator))
	correlated := common.NewCorrelatedObject(object, old, &model.Structural{Structural: structural})
	out.Update = texts(validation.ValidateCustomResourceUpdate(nil, object, old, validator, validation.WithRatcheting(correlated)))
	out.Lists = texts(listtype.ValidateListSetsAndMaps(nil, structural, object.(map[string]interface{})))
	out.Embedded = texts(objectmeta.Validate(context.Background(), nil, object, structural, false))
	out.V2, out.V3 = published(external)
	out.Cells = cells(c)
	for _, pair := range c.Formats {
		out.Fits = append(out.Fits, strfmt.Default.Validates(pair[0], pair[1]))
	}
	for _, pair := range c.Patterns {
		out.Matches = append(out.Matches, regexp.MustCompile(pair[0]).MatchString(pair[1]))
	}
	return out
}

func published(schema *v1.JSONSchemaProps) (interface{}, interface{}) {
	crd := &v1.CustomResourceDefinition{Spec: v1.CustomResourceDefinitionSpec{
		Group: "g.example.com", Scope: v1.NamespaceScoped,
		Names: v1.CustomResourceDefinitionNames{Kind: "K", ListKind: "KList", Plural: "ks", Singular: "k"},
		Versions: []v1.CustomResourceDefinitionVersion{{Name: "v1", Served: true, Storage: true,
			Schema: &v1.CustomResourceValidation{OpenAPIV3Schema: schema}}},
	}}
	v2, err := builder.BuildOpenAPIV2(crd, "v1", builder.Options{V2: true, AllowNonStructural: true})
	check(err)
	v3, err := builder.BuildOpenAPIV3(crd, "v1", builder.Options{AllowNonStructural: true})
	check(err)
	const name = "com.example.g.v1.K"
	return plain(v2.Definitions[name]), plain(v3.Components.Schemas[name])
}

func plain(value interface{}) interface{} {
	text, err := json.Marshal(value)
	check(err)
	var out interface{}
	check(json.Unmarshal(text, &out))
	return out
}

func cells(c *Case) []interface{} {
	convertor, _ := tableconvertor.New(c.Columns)
	object := &unstructured.Unstructured{Object: tree(c.New).(map[string]interface{})}
	table, err := convertor.ConvertToTable(context.Background(), object, nil)
	check(err)
	return table.Rows[0].Cells[1:]
}

func tree(text json.RawMessage) interface{} {
	var out interface{}
	check(utiljson.Unmarshal(text, &out))
	return runtime.DeepCopyJSONValue(out)
}

func texts(errors field.ErrorList) []string {
	out := []string{}
	for _, err := range errors {
		out = append(out, err.Error())
	}
	return out
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
