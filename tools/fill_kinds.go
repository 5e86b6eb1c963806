// SPDX-License-Identifier: Apache-2.0

// Writes an object of each kind with every field filled, as JSON, YAML and protobuf, with the published Go types:
// the samples in tests/kinds/ that the codec is tested with.
//
// usage: in an empty directory, with a copy of this file:
//
//	go mod init x && go get k8s.io/api@v0.35.0 && go mod tidy && go run fill_kinds.go DIR
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

var counter int64

func leaf(value reflect.Value) bool {
	counter++
	at := time.Unix(1700000000+counter, 123456000).UTC()
	switch value.Interface().(type) {
	case metav1.Time:
		value.Set(reflect.ValueOf(metav1.NewTime(at.Truncate(time.Second))))
	case metav1.MicroTime:
		value.Set(reflect.ValueOf(metav1.NewMicroTime(at)))
	case resource.Quantity:
		value.Set(reflect.ValueOf(resource.MustParse(fmt.Sprintf("%dMi", counter))))
	case intstr.IntOrString:
		if counter%2 == 0 {
			value.Set(reflect.ValueOf(intstr.FromString(fmt.Sprintf("%d%%", counter))))
		} else {
			value.Set(reflect.ValueOf(intstr.FromInt32(int32(counter))))
		}
	case runtime.RawExtension:
		value.Set(reflect.ValueOf(runtime.RawExtension{Raw: []byte(`{"a":"b"}`)}))
	case metav1.FieldsV1:
		value.Set(reflect.ValueOf(metav1.FieldsV1{Raw: []byte(`{"f:a":{}}`)}))
	case []byte:
		value.SetBytes([]byte{byte(counter), 0xff, 0})
	default:
		return false
	}
	return true
}

func fill(value reflect.Value, name string) {
	if leaf(value) {
		return
	}
	switch value.Kind() {
	case reflect.Pointer:
		value.Set(reflect.New(value.Type().Elem()))
		fill(value.Elem(), name)
	case reflect.Struct:
		for i := 0; i < value.NumField(); i++ {
			if value.Type().Field(i).Type != reflect.TypeOf(metav1.TypeMeta{}) {
				fill(value.Field(i), value.Type().Field(i).Name)
			}
		}
	case reflect.Slice:
		count := 2
		if value.Type().Elem().Kind() == reflect.Struct {
			count = 1
		}
		value.Set(reflect.MakeSlice(value.Type(), count, count))
		for i := 0; i < count; i++ {
			fill(value.Index(i), name)
		}
	case reflect.Map:
		key, element := reflect.New(value.Type().Key()).Elem(), reflect.New(value.Type().Elem()).Elem()
		fill(key, name+"-key")
		fill(element, name)
		value.Set(reflect.MakeMap(value.Type()))
		value.SetMapIndex(key, element)
	case reflect.String:
		value.SetString(fmt.Sprintf("%s-%d-é", strings.ToLower(name), counter))
	case reflect.Bool:
		value.SetBool(true)
	case reflect.Int32, reflect.Int64:
		value.SetInt(counter)
		if counter%3 == 0 {
			value.SetInt(-counter)
		}
	default:
		panic(value.Type().String())
	}
}

func write(path string, data []byte, err error) {
	if err == nil {
		err = os.WriteFile(path, data, 0o644)
	}
	if err != nil {
		panic(err)
	}
}

func main() {
	kinds := []struct {
		groupVersion schema.GroupVersion
		object       runtime.Object
	}{
		{appsv1.SchemeGroupVersion, &appsv1.Deployment{}},
		{appsv1.SchemeGroupVersion, &appsv1.ReplicaSet{}},
		{authenticationv1.SchemeGroupVersion, &authenticationv1.SelfSubjectReview{}},
		{authenticationv1.SchemeGroupVersion, &authenticationv1.TokenRequest{}},
		{authenticationv1.SchemeGroupVersion, &authenticationv1.TokenReview{}},
		{authorizationv1.SchemeGroupVersion, &authorizationv1.LocalSubjectAccessReview{}},
		{authorizationv1.SchemeGroupVersion, &authorizationv1.SelfSubjectAccessReview{}},
		{authorizationv1.SchemeGroupVersion, &authorizationv1.SelfSubjectRulesReview{}},
		{authorizationv1.SchemeGroupVersion, &authorizationv1.SubjectAccessReview{}},
		{autoscalingv1.SchemeGroupVersion, &autoscalingv1.Scale{}},
		{coordinationv1.SchemeGroupVersion, &coordinationv1.Lease{}},
		{corev1.SchemeGroupVersion, &corev1.Binding{}},
		{corev1.SchemeGroupVersion, &corev1.ConfigMap{}},
		{corev1.SchemeGroupVersion, &corev1.Endpoints{}},
		{corev1.SchemeGroupVersion, &corev1.Event{}},
		{corev1.SchemeGroupVersion, &corev1.Namespace{}},
		{corev1.SchemeGroupVersion, &corev1.Node{}},
		{corev1.SchemeGroupVersion, &corev1.Pod{}},
		{corev1.SchemeGroupVersion, &corev1.Secret{}},
		{corev1.SchemeGroupVersion, &corev1.Service{}},
		{corev1.SchemeGroupVersion, &corev1.ServiceAccount{}},
		{discoveryv1.SchemeGroupVersion, &discoveryv1.EndpointSlice{}},
		{eventsv1.SchemeGroupVersion, &eventsv1.Event{}},
		{nodev1.SchemeGroupVersion, &nodev1.RuntimeClass{}},
		{policyv1.SchemeGroupVersion, &policyv1.Eviction{}},
	}
	serializer := protobuf.NewSerializer(nil, nil)
	for _, kind := range kinds {
		counter = 0
		value := reflect.ValueOf(kind.object).Elem()
		fill(value, "")
		name := value.Type().Name()
		kind.object.GetObjectKind().SetGroupVersionKind(kind.groupVersion.WithKind(name))
		path := filepath.Join(os.Args[1], name)
		if kind.groupVersion == eventsv1.SchemeGroupVersion {
			path += "." + kind.groupVersion.Group // there is an Event in v1 too
		}
		text, err := json.Marshal(kind.object)
		write(path+".json", append(text, '\n'), err)
		text, err = yaml.JSONToYAML(text)
		write(path+".yaml", text, err)
		var out bytes.Buffer
		err = serializer.Encode(kind.object, &out)
		write(path+".pb", out.Bytes(), err)
	}
}
