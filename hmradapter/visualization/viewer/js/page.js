// The page: a bar of buttons for each view, built when it scrolls into sight and emptied when it is far away.

(() => {
  const HINTS = ['drag to turn · click, then scroll to zoom · right button to move',
    'tap, then drag to turn · two fingers zoom and move'];
  let stage;

  function element(tag, attributes = {}, ...children) {
    const result = Object.assign(document.createElement(tag), attributes);
    result.append(...children);
    return result;
  }

  function button(text, title, act) {
    return element('button', {type: 'button', textContent: text, title, onclick: act});
  }

  // buttons of which one is pressed; the first at the beginning
  function choice(options, pick) {
    const buttons = options.map(([text, title, value]) => button(text, title, () => press(value)));
    const press = (value) => {
      buttons.forEach((one, i) => one.setAttribute('aria-pressed', options[i][2] === value));
      pick(value);
    };
    buttons.forEach((one, i) => one.setAttribute('aria-pressed', i === 0));
    return buttons;
  }

  function bar(view, holder) {
    const {variants} = view.spec, left = element('span'), right = element('span');
    if (variants.length > 1) {
      const options = variants.map((name) => [name, `show ${name}`, name]);
      options.push(['side by side', 'all variants, same camera', null]);
      left.append(...choice(options, (mode) => { view.mode = mode; view.redraw(); }));
    } else {
      left.append(variants[0]);
    }
    if (view.spec.picture) {
      const picture = button('picture', 'the picture behind the people, where the camera saw it', () => {
        view.picture = !view.picture;
        picture.setAttribute('aria-pressed', view.picture);
        view.redraw();
      });
      picture.setAttribute('aria-pressed', true);
      right.append(picture);
    }
    right.append(button('reset', 'as the camera saw it (key 0)', () => view.reset()),
      button('side', 'from the side', () => view.look(1, 0, 0)), button('top', 'from above', () => view.look(0, 1, 1e-3)));
    if (document.fullscreenEnabled) {
      right.append(button('full screen', 'fill the screen', () => (
        document.fullscreenElement ? document.exitFullscreen() : holder.requestFullscreen())));
    }
    return element('div', {className: 'bar'}, left, right);
  }

  function player(view, guard) {
    const last = view.spec.frames.length - 1;
    const slider = element('input', {type: 'range', min: 0, max: last, value: 0, step: 1});
    const output = element('output');
    slider.setAttribute('aria-label', 'frame');
    let playing = false;
    const tell = () => { slider.value = view.frame; output.textContent = `${view.frame + 1} / ${last + 1}`; };
    const go = (index) => guard(view.show(index).then(tell));
    const set = (on) => { playing = on; toggle.textContent = on ? 'pause' : 'play'; };
    const toggle = button('play', 'play or pause the video', () => {
      set(!playing);
      if (playing) run(performance.now(), view.frame === last ? 0 : view.frame);
    });
    async function run(started, first) {  // by the clock: frames that come late are left out
      let due = first;
      while (playing && view.shown && due <= last) {
        if (due !== view.frame) await go(due);
        for (let i = 1; i <= 8 && due + i <= last; i++) view.fetchFrame(due + i).catch(() => {});
        await new Promise(requestAnimationFrame);
        const next = first + Math.floor((performance.now() - started) / 1000 * view.spec.fps);
        due = due === last ? last + 1 : Math.min(next, last);
      }
      set(false);
    }
    slider.oninput = () => { set(false); go(Number(slider.value)); };
    tell();
    return element('div', {className: 'bar'}, toggle, slider, output);
  }

  function build(holder) {
    const spec = JSON.parse(holder.dataset.scene), count = spec.frames.length;
    const canvas = element('canvas', {tabIndex: 0});
    canvas.setAttribute('role', 'application');
    canvas.setAttribute('aria-roledescription', '3D view');
    canvas.setAttribute('aria-label', `3D view of ${spec.title}. Arrow keys turn, plus and minus zoom, 0 resets.`);
    const view = new hmradapter3d.View(canvas, spec, stage);
    const hint = element('p', {textContent: HINTS[Number(matchMedia('(pointer: coarse)').matches)]});
    const guard = (work) => work.then(() => { if (view.shown) holder.dataset.state = 'shown'; }, (error) => {
      holder.dataset.state = 'failed';
      hint.textContent = error.message;
    });
    holder.replaceChildren(bar(view, holder), element('div', {className: 'stage'}, canvas, hint));
    if (count > 1) holder.append(player(view, guard));
    canvas.addEventListener('pointerdown', () => canvas.focus({preventScroll: true}));
    canvas.addEventListener('focus', () => view.engage(true));
    canvas.addEventListener('blur', () => view.engage(false));
    canvas.addEventListener('keydown', (event) => { if (view.key(event.key)) event.preventDefault(); });
    new ResizeObserver(() => view.redraw()).observe(canvas);
    return {
      enter() { guard(view.show(view.frame)); },
      leave() { holder.dataset.state = 'waiting'; view.release(); },
      redraw() { view.redraw(); },
    };
  }

  function start() {
    const holders = [...document.querySelectorAll('.scene')], built = new Map();
    try {
      stage = new hmradapter3d.Stage();
    } catch {  // no WebGL: the text in each place says so
      holders.forEach((holder) => { holder.dataset.state = 'unsupported'; });
      return;
    }
    stage.renderer.domElement.addEventListener('webglcontextrestored', () => built.forEach((view) => view.redraw()));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => built.forEach((view) => view.redraw()));
    const sight = new IntersectionObserver((entries) => entries.forEach(({target, isIntersecting}) => {
      if (isIntersecting && !built.has(target)) built.set(target, build(target));
      built.get(target)?.[isIntersecting ? 'enter' : 'leave']();
    }), {rootMargin: '75% 0px'});
    holders.forEach((holder) => sight.observe(holder));
  }

  start();
})();
