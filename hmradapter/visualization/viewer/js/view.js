// One 3D view: a 2D canvas that shows what the page's only WebGL context draws (browsers allow about 16 contexts on a page).
// It begins as the picture's camera saw the people; the mouse turns the camera about their middle, which keeps its place.

hmradapter3d.Stage = class {
  // the one renderer of the page; throws where there is no WebGL
  constructor() {
    const canvas = document.createElement('canvas'), context = canvas.getContext('webgl2', {antialias: true, alpha: true});
    if (!context) throw new Error('no WebGL');  // three.js would also write it to the console
    this.renderer = new THREE.WebGLRenderer({canvas, context});
    this.renderer.setScissorTest(true);
  }

  // draw columns side by side ({x, width, prepare, camera}) and copy them to a 2D context
  draw(scene, columns, context, width, height) {
    const canvas = this.renderer.domElement;
    if (canvas.width < width || canvas.height < height) {
      this.renderer.setSize(Math.max(width, canvas.width), Math.max(height, canvas.height), false);
    }
    this.renderer.setClearColor(0, 0);
    for (const column of columns) {
      column.prepare();
      this.renderer.setViewport(column.x, 0, column.width, height);
      this.renderer.setScissor(column.x, 0, column.width, height);
      this.renderer.render(scene, column.camera);
    }
    context.clearRect(0, 0, width, height);
    context.drawImage(canvas, 0, canvas.height - height, width, height, 0, 0, width, height);
  }
};

hmradapter3d.View = class {
  constructor(canvas, spec, stage) {
    Object.assign(this, {canvas, spec, stage, mode: spec.variants[0], picture: true, frame: 0});
    this.context = canvas.getContext('2d');
    const [x, y, z] = spec.center;
    this.center = new THREE.Vector3(x, -y, -z);
    this.scene = new THREE.Scene();
    this.groups = new Map(spec.variants.map((name) => [name, new THREE.Group()]));
    this.backdrop = new THREE.Group();
    this.camera = new THREE.PerspectiveCamera();
    this.scene.add(this.camera, this.backdrop, ...this.groups.values());
    this.addLights();
    // the controls move a stand-in that circles the origin; the camera follows it (see place)
    this.rig = new THREE.PerspectiveCamera();
    this.rig.position.z = this.distance = Math.max(this.center.length(), 1e-3);
    this.controls = new THREE.OrbitControls(this.rig, canvas);
    this.controls.minDistance = this.distance / 100;
    this.controls.maxDistance = this.distance + 20 * spec.radius;
    this.controls.addEventListener('change', () => this.redraw());
    this.engage(false);
  }

  addLights() {
    const key = new THREE.DirectionalLight(0xffffff, 1.9), rim = new THREE.DirectionalLight(0xffffff, 0.5);
    key.position.set(-0.35, 0.55, 0.76);  // from the upper left, behind the camera, as in the overlays
    rim.position.set(0.8, 0.1, -0.3);
    this.camera.add(key, key.target, rim, rim.target);
    this.scene.add(new THREE.HemisphereLight(0xffffff, 0x8890a0, 1.25));
  }

  // the wheel and one finger scroll the page until the view is clicked
  engage(on) {
    this.controls.enableZoom = on;
    this.canvas.style.touchAction = on ? 'none' : 'pan-y';
  }

  async show(index) {
    this.wanted = index;
    const frame = await this.fetchFrame(index);
    if (this.wanted !== index) return;  // overtaken, or released
    this.frame = index;
    this.clear();
    for (const [name, people] of Object.entries(frame.meshes)) {
      for (const person of people) {
        const material = new THREE.MeshStandardMaterial({roughness: 0.72, side: THREE.DoubleSide});
        material.color.setRGB(...person.color, THREE.SRGBColorSpace);
        this.groups.get(name).add(new THREE.Mesh(hmradapter3d.geometry(person), material));
      }
    }
    if (frame.picture) this.addPicture(frame.picture);
    this.shown = true;
    this.redraw();
  }

  fetchFrame(index) {
    this.frames ??= new Map();
    if (!this.frames.has(index)) this.frames.set(index, hmradapter3d.loadFrame(this.spec.folder, this.spec.frames[index]));
    return this.frames.get(index);
  }

  // the picture where the camera saw it, behind everybody, and lines from the camera to its corners
  addPicture(image) {
    const {size: [width, height], focal, princpt, backdrop} = this.spec;
    const along = (pixel, axis) => (pixel - princpt[axis] - 0.5) / focal[axis] * backdrop;
    const corner = (u, v) => [along(u, 0), -along(v, 1), -backdrop];
    const corners = [corner(0, height), corner(width, height), corner(width, 0), corner(0, 0)];
    const plane = new THREE.BufferGeometry(), lines = new THREE.BufferGeometry();
    plane.setAttribute('position', new THREE.BufferAttribute(new Float32Array(corners.flat()), 3));
    plane.setAttribute('uv', new THREE.BufferAttribute(new Float32Array([0, 0, 1, 0, 1, 1, 0, 1]), 2));
    plane.setIndex([0, 1, 2, 0, 2, 3]);
    const texture = new THREE.Texture(image);
    texture.colorSpace = THREE.SRGBColorSpace;
    texture.anisotropy = 4;
    texture.needsUpdate = true;
    const faint = {transparent: true, opacity: 0.25, depthWrite: false};
    const back = new THREE.MeshBasicMaterial({color: 0x9aa5bb, side: THREE.BackSide, ...faint});
    const edges = corners.flatMap((point, i) => [0, 0, 0, ...point, ...point, ...corners[(i + 1) % 4]]);
    lines.setAttribute('position', new THREE.BufferAttribute(new Float32Array(edges), 3));
    this.pictureMaterial = new THREE.MeshBasicMaterial({map: texture, transparent: true});
    this.backdrop.add(new THREE.Mesh(plane, this.pictureMaterial), new THREE.Mesh(plane, back),
      new THREE.LineSegments(lines, new THREE.LineBasicMaterial({color: 0x8b98b3, transparent: true, opacity: 0.6})));
  }

  clear() {
    this.pictureMaterial = null;
    for (const group of [this.backdrop, ...this.groups.values()]) {
      for (const part of group.children) {
        part.geometry.setIndex(null);  // triangles are shared: they stay
        part.geometry.dispose();
        part.material.map?.dispose();
        part.material.dispose();
      }
      group.clear();
    }
  }

  // out of sight: give all memory back, keep the camera
  release() {
    this.wanted = null;
    this.shown = false;
    this.frames = null;
    this.clear();
    this.canvas.width = this.canvas.height = 0;
  }

  redraw() {
    if (!this.shown || this.pending) return;
    this.pending = requestAnimationFrame(() => { this.pending = 0; if (this.shown) this.draw(); });
  }

  draw() {
    const sharp = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.round(this.canvas.clientWidth * sharp), height = Math.round(this.canvas.clientHeight * sharp);
    if (!width || !height) return;
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, {width, height});
    const names = this.mode === null ? this.spec.variants : [this.mode];
    const columnWidth = Math.floor(width / names.length);
    this.place();
    this.lens(columnWidth, height);
    const columns = names.map((name, i) => ({x: i * columnWidth, width: columnWidth, camera: this.camera, prepare: () => {
      this.groups.forEach((group, key) => { group.visible = key === name; });
      this.backdrop.visible = this.picture;
    }}));
    this.stage.draw(this.scene, columns, this.context, width, height);
    if (names.length > 1) this.label(names, columnWidth, height, sharp);
  }

  // the camera stands to the people's middle as the stand-in stands to its target: at first where the picture was taken
  place() {
    const {camera, rig, controls, center, distance} = this;
    camera.quaternion.copy(rig.quaternion);
    camera.position.copy(center).multiplyScalar(-rig.position.distanceTo(controls.target) / distance)
      .applyQuaternion(rig.quaternion).add(center).add(controls.target);
    const turned = 2 * Math.acos(Math.min(1, Math.abs(rig.quaternion.w)));
    if (this.pictureMaterial) this.pictureMaterial.opacity = 1 - 0.55 * Math.min(1, turned / 0.5);  // people first
  }

  // the picture's own lens, with room around the picture where the view is wider or higher
  lens(columnWidth, columnHeight) {
    const {size: [width, height], focal, princpt, radius, backdrop} = this.spec, {camera, rig} = this;
    const scale = Math.min(columnWidth / width, columnHeight / height), seen = [columnWidth / scale, columnHeight / scale];
    camera.fov = 2 * Math.atan(height / 2 / focal[1]) * 180 / Math.PI;
    const away = camera.position.distanceTo(this.center), apex = camera.position.length();
    camera.far = Math.max(away + radius, apex + 2 * backdrop * Math.hypot(1, width / focal[0], height / focal[1])) * 1.1;
    camera.near = Math.max((away - radius) * 0.5, Math.min(away, radius) * 0.02);
    camera.setViewOffset(width, height, (width - seen[0]) / 2 - (princpt[0] + 0.5) + width / 2,
      (height - seen[1]) / 2 - (princpt[1] + 0.5) + height / 2, seen[0], seen[1]);
    camera.aspect = (width / focal[0]) / (height / focal[1]);  // setViewOffset takes pixels to be square
    camera.updateProjectionMatrix();
    this.halfAngle = Math.min(Math.atan(seen[0] / 2 / focal[0]), Math.atan(seen[1] / 2 / focal[1]));
    rig.fov = 2 * Math.atan(seen[1] / 2 / focal[1]) * 180 / Math.PI;  // panning goes by it
  }

  label(names, columnWidth, height, sharp) {
    const style = getComputedStyle(this.canvas);
    Object.assign(this.context, {font: `600 ${13 * sharp}px ${style.fontFamily}`, fillStyle: style.color, textAlign: 'left',
      textBaseline: 'top', globalAlpha: 0.85});
    names.forEach((name, i) => {
      this.context.fillText(name, i * columnWidth + 10 * sharp, 10 * sharp, columnWidth - 20 * sharp);
      if (i) this.context.fillRect(i * columnWidth, 0, sharp, height);
    });
    this.context.globalAlpha = 1;
  }

  reset() { this.controls.reset(); }

  // look along a direction (in the world here) from far enough to see everybody
  look(x, y, z) {
    const {rig, controls, center} = this, distance = 1.05 * this.spec.radius / Math.sin(this.halfAngle);
    controls.reset();
    rig.position.set(x, y, z).setLength(distance);
    controls.update();
    // moved so that the people's middle lies before the camera also where it does not in the picture
    controls.target.copy(center).setLength(distance).add({x: 0, y: 0, z: distance}).applyQuaternion(rig.quaternion);
    rig.position.add(controls.target);
    controls.update();
  }

  key(name) {
    const {controls} = this;
    const acts = {ArrowLeft: () => controls.rotateLeft(-0.12), ArrowRight: () => controls.rotateLeft(0.12),
      ArrowUp: () => controls.rotateUp(-0.12), ArrowDown: () => controls.rotateUp(0.12), '+': () => this.zoom(1 / 1.12),
      '=': () => this.zoom(1 / 1.12), '-': () => this.zoom(1.12), '0': () => this.reset(), Home: () => this.reset()};
    acts[name]?.();
    return name in acts;
  }

  zoom(factor) {
    this.rig.position.sub(this.controls.target).multiplyScalar(factor).add(this.controls.target);
    this.controls.update();
  }
};
