// Compares this project's decoding and encoding with upstream's own. Reads cases as JSON lines from standard input,
// prints every difference, and fails if there is one. The ignored tests of crates/api run it.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	admission "k8s.io/api/admission/v1"
	discoveryv2 "k8s.io/api/apidiscovery/v2"
	discoveryv2beta1 "k8s.io/api/apidiscovery/v2beta1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/yaml"
)

// Case is one comparison; what is empty is not compared.
type Case struct {
	Name string `json:"name"`
	// Input is an object's JSON text.
	Input string `json:"input"`
	// Tree is what it should be served as.
	Tree json.RawMessage `json:"tree"`
	// Error is why it should be refused.
	Error string `json:"error"`
	// Protobuf is the encoded object.
	Protobuf []byte `json:"protobuf"`
	// YAML is the input as YAML.
	YAML string `json:"yaml"`
}

var (
	s       = scheme.Scheme
	jsons   = kjson.NewSerializerWithOptions(kjson.DefaultMetaFactory, s, s, kjson.SerializerOptions{Strict: true})
	protos  = protobuf.NewSerializer(s, s)
	differs = 0
)

func main() {
	for _, add := range []func(*runtime.Scheme) error{
		apiextensions.AddToScheme, apiregistration.AddToScheme, admission.AddToScheme, discoveryv2.AddToScheme,
		discoveryv2beta1.AddToScheme, meta.AddMetaToScheme,
	} {
		check(add(s))
	}
	count := 0
	decoder := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var c Case
		err := decoder.Decode(&c)
		if err == io.EOF {
			break
		}
		check(err)
		count++
		c.compare()
	}
	fmt.Printf("%d cases, %d differences\n", count, differs)
	if differs > 0 || count == 0 {
		os.Exit(1)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func (c *Case) compare() {
	if c.YAML != "" {
		text, err := yaml.JSONToYAML([]byte(c.Input))
		check(err)
		c.same("YAML", string(text), c.YAML)
		return
	}
	object, _, err := jsons.Decode([]byte(c.Input), nil, nil)
	if err != nil || c.Error != "" {
		text := ""
		if err != nil {
			text = err.Error()
		}
		c.same("error", text, c.Error)
		return
	}
	c.same("JSON", encoded(object), canonical(c.Tree))
	if len(c.Protobuf) == 0 {
		return
	}
	object, _, err = protos.Decode(c.Protobuf, nil, nil)
	if err != nil {
		c.same("protobuf", err.Error(), "")
		return
	}
	c.same("JSON of protobuf", encoded(object), canonical(c.Tree))
	var bytes bytes.Buffer
	check(protos.Encode(object, &bytes))
	c.same("protobuf", fmt.Sprintf("%x", bytes.Bytes()), fmt.Sprintf("%x", c.Protobuf))
}

func (c *Case) same(what, upstream, ours string) {
	if upstream == ours {
		return
	}
	differs++
	if differs <= 20 {
		at := 0
		for at < len(upstream) && at < len(ours) && upstream[at] == ours[at] {
			at++
		}
		from := max(0, at-100)
		fmt.Printf("%s: %s differs\n upstream: %.300s\n     ours: %.300s\n", c.Name, what, upstream[from:], ours[from:])
	}
}

func encoded(object runtime.Object) string {
	var text bytes.Buffer
	check(jsons.Encode(object, &text))
	return canonical(text.Bytes())
}

func canonical(text []byte) string {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	check(decoder.Decode(&value))
	out, err := json.Marshal(stripped(value))
	check(err)
	return string(out)
}

// stripped drops what the project leaves out on purpose: null, empty lists, and a port name that is none.
func stripped(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			inner = stripped(inner)
			list, isList := inner.([]any)
			number, isNumber := inner.(json.Number)
			if inner == nil || isList && len(list) == 0 || isNumber && name == "targetPort" && number == "0" {
				delete(value, name)
			} else {
				value[name] = inner
			}
		}
	case []any:
		for i := range value {
			value[i] = stripped(value[i])
		}
	}
	return value
}
